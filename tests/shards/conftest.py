"""Runs with episodes and pictures that the tests draw themselves."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from curate.engine import Partition, PartWriter
from curate.engine import run as run_stage
from curate.layout import Run
from curate.schema import Episode, Image, Provenance, Shot, to_table
from curate.settings import Settings
from curate.storage import sha256

FORMATS = ("PNG", "JPEG", "WEBP")
EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}


class Build:
    """Stands for the episodes stage: hands its payload through."""

    name, version = "episodes", "test"

    def __init__(self) -> None:
        self.settings = Settings()

    def setup(self) -> None:
        pass

    def process(self, payload: list[Episode], part: PartWriter) -> None:
        part.saw(len(payload))
        part.table(to_table(payload, Episode))


class Pool:
    """Draws pictures once and keeps them in the run's store."""

    def __init__(self, run: Run, draw: Callable[..., bytes], formats: Sequence[str] = FORMATS) -> None:
        self.run, self._draw, self._formats = run, draw, formats
        self._images: dict[int, Image] = {}

    def image(self, seed: int) -> Image:
        if seed not in self._images:
            format = self._formats[seed % len(self._formats)]
            data = self._draw(seed, size=(40 + seed % 7, 32), format=format)
            ref = self.run.images.put(data, EXTENSIONS[format])
            self._images[seed] = Image(ref, 40 + seed % 7, 32, "0" * 16)
        return self._images[seed]

    def shot(self, seed: int, role: str = "positive", images: int = 1) -> Shot:
        shown = tuple(self.image(seed + 31 * extra) for extra in range(images))
        similarity = None if role == "query" else 0.25
        question = f'What is "{seed}"?\nA: cät\nB: <b>dog</b>'
        return Shot(role, similarity, f"d{seed}", f"page{seed}", shown, question, "A", "cät", ("cät", "dog"))  # type: ignore[arg-type]

    def episode(self, number: int, shots: int = 2, images: int = 1, kind: str = "multiple_choice") -> Episode:
        turns = tuple(self.shot((number * 3 + turn) % 23, images=images) for turn in range(shots))
        return Episode(
            id=f"e{number}", task="category", concept=f"concept {number % 3}", format=kind, demonstrations=turns,
            query=self.shot((number * 3 + shots) % 23, "query", images), selector="random", order="random",
            settings="0" * 64, seed=7, source="stamps", licence="CC0-1.0", provenance=Provenance("stamps", f"r{number}"),
        )  # fmt: skip

    def build(self, episodes: Sequence[Episode], per_part: int = 8) -> Run:
        parts = [list(episodes[i : i + per_part]) for i in range(0, len(episodes), per_part)]
        run_stage(Build(), [Partition(sha256(repr(part).encode()), part) for part in parts], self.run.episodes)
        return self.run


@pytest.fixture(scope="session")
def make_pool(picture: Callable[..., bytes]) -> Callable[[Path], Pool]:
    """`make_pool(folder)` is an empty run with a picture pool in three formats."""
    return lambda folder: Pool(Run.at(folder / "run"), picture)


@pytest.fixture
def pool(tmp_path: Path, make_pool: Callable[[Path], Pool]) -> Pool:
    """An empty run with a picture pool in three formats."""
    return make_pool(tmp_path)


@pytest.fixture
def mixed_run(pool: Pool) -> Run:
    """A run with 20 episodes of 1, 2 and 4 shots, one and two images a turn, several formats."""
    shots, kinds = (1, 2, 4), ("multiple_choice", "open_qa", "caption")
    return pool.build([pool.episode(n, shots[n % 3], 1 + (n % 5 == 0), kinds[n % 3]) for n in range(20)])
