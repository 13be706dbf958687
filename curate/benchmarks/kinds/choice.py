"""`choice`: N-way K-shot multiple choice. Options are class names, the answer is a letter."""

from curate.benches import Metric
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material
from curate.benchmarks.settings import ClassBenchSettings


class Choice:
    """Which of N classes a picture shows."""

    settings = ClassBenchSettings
    metric: Metric = "choice"
    title = "Which of these classes does the picture show?"

    def build(self, spec: ClassBenchSettings, material: Material, seed: int) -> Made:
        """Every question at every number of shots in all its arrangements."""
        raise NotImplementedError


KINDS.register("choice")(Choice())
