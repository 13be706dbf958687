"""Demonstrations become zero-shot episodes word for word."""

from pathlib import Path

import pytest

from curate.engine import Partition, PartWriter, StageManifest
from curate.engine import run as run_stage
from curate.episodes.singles import build_singles
from curate.errors import InputError
from curate.layout import Run
from curate.schema import Demonstration, Image, Provenance, to_table
from curate.settings import Settings


class Made:
    """Stands for an importer."""

    name, version = "import-test", "1"

    def __init__(self) -> None:
        self.settings = Settings()

    def setup(self) -> None:
        pass

    def process(self, payload: list[Demonstration], part: PartWriter) -> None:
        part.table(to_table(payload, Demonstration))


def demonstration(number: int, question: str = "What is it?", answer: str = "a cat", images: int = 1) -> Demonstration:
    shown = tuple(Image(f"{number:064d}.png", 10 + place, 20, "0" * 16) for place in range(images))
    return Demonstration(
        f"d{number}", shown, question, answer, "instruction", ("cat", "animal"), "open_qa", "", "", "llava", "CC0-1.0",
        Provenance("llava", f"r{number}", ("import-test:1",)),
    )  # fmt: skip


def filled(folder: Path, *found: Demonstration) -> Run:
    run = Run.at(folder)
    run_stage(Made(), [Partition("x", list(found))], run.root / "demonstrations" / "llava")
    return run


def test_question_answer_and_pictures_stay_as_they_are(tmp_path: Path) -> None:
    run = filled(tmp_path, demonstration(1, 'Say "ä"\n<b>', "B", images=3), demonstration(2, ""))
    manifest = build_singles(run, run)
    first, second = run.built_episodes()
    assert (first.query.question, first.query.answer, len(first.query.images)) == ('Say "ä"\n<b>', "B", 3)
    assert second.query.question == ""
    assert (first.demonstrations, first.concept, first.task, first.selector) == ((), "cat", "instruction", "none")
    assert first.provenance.lineage == ("import-test:1", manifest.lineage)
    assert first.id != second.id


def test_they_may_come_from_another_run_and_equal_ones_give_equal_bytes(tmp_path: Path) -> None:
    source = filled(tmp_path / "source", *(demonstration(n) for n in range(5)))
    one, two = (build_singles(source, Run.at(tmp_path / name)) for name in ("one", "two"))
    assert one.digest == two.digest
    assert one.inputs == {"demonstrations/llava": StageManifest.load(source.root / "demonstrations" / "llava").digest}


def test_what_cannot_be_asked_is_rejected(tmp_path: Path) -> None:
    run = filled(tmp_path, demonstration(1, answer=""), demonstration(2, images=0), demonstration(3))
    assert build_singles(run, run).rejected == {"no_answer": 1, "no_images": 1}


def test_a_run_without_demonstrations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no demonstrations"):
        build_singles(Run.at(tmp_path), Run.at(tmp_path / "out"))
