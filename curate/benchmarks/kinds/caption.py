"""`caption`: captions of pictures, from captioned demonstrations."""

from curate.benches import Metric
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material
from curate.benchmarks.settings import BenchSettings


class CaptionSettings(BenchSettings):
    """Captions are scored against all captions that the run has of a picture."""

    nearest: bool = False
    """Demonstrations are the captions of the most alike pictures instead of any."""


class Caption:
    """What a caption of a picture says."""

    settings = CaptionSettings
    metric: Metric = "caption"
    title = "Write the picture's caption."

    def build(self, spec: CaptionSettings, material: Material, seed: int) -> Made:
        """Every question once at every number of shots."""
        raise NotImplementedError


KINDS.register("caption")(Caption())
