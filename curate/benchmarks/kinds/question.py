"""`question`: attribute and relation questions, asked as the demonstrations ask them."""

from pydantic import Field

from curate.benches import Metric
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material
from curate.benchmarks.settings import BenchSettings, Ways


class QuestionSettings(BenchSettings):
    """Classes are the answers to one and the same kind of question."""

    ways: Ways = 2
    """Answers a question chooses between."""
    tasks: list[str] = Field(default=[])
    """Tasks that are asked; all but category and caption where empty."""


class Question:
    """Which answer is right of a picture."""

    settings = QuestionSettings
    metric: Metric = "choice"
    title = "Which answer to the question is right?"

    def build(self, spec: QuestionSettings, material: Material, seed: int) -> Made:
        """Every question at every number of shots, a demonstration of its answer in every position."""
        raise NotImplementedError


KINDS.register("question")(Question())
