"""A bank that is built ahead serves predictions: its demonstrations are those that a model would be shown."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigError, InputError
from curate.labelled import LabelledSet, read_labelled
from tests.train.bank.small_banks import Counting
from train.bank import Bank, Banked
from train.bank.building import build, turns_of
from train.evaluate import Predictor, PredictSettings
from train.evaluate.records import Ask, Turn

Draw = Callable[..., bytes]


@pytest.fixture
def demos(tmp_path: Path, picture: Draw) -> LabelledSet:
    for number in range(6):
        place = tmp_path / "labelled" / ("cat", "dog", "red_fox")[number % 3] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture(number, size=(40, 30)))
    (tmp_path / "labelled" / "cat" / "torn.png").write_bytes(b"torn")
    return read_labelled(tmp_path / "labelled")


class Listening:
    """A Reader that remembers which demonstrations it was shown."""

    name = "listening"

    def __init__(self) -> None:
        self.shown: set[Turn] = set()

    def facts(self) -> dict[str, Any]:
        return {}

    def likelihoods(self, asks: Sequence[Ask]) -> list[list[float]]:
        self.shown |= {turn for ask in asks for turn in ask.demonstrations}
        return [[-1.0] * len(ask.choices) for ask in asks]

    def generate(self, asks: Sequence[Ask], max_new_tokens: int = 32) -> list[str | None]:
        raise AssertionError


@pytest.mark.parametrize("question", [None, "Which of {options} is it?"])
@pytest.mark.parametrize("letters", [False, True])
def test_its_demonstrations_are_those_that_predictions_show(
    demos: LabelledSet, tmp_path: Path, picture: Draw, question: str | None, letters: bool
) -> None:
    (tmp_path / "asked.png").write_bytes(picture(99))
    reader = Listening()
    settings = PredictSettings(shots=9, question=question, letters=letters)
    list(Predictor(reader, demos, settings).predict(tmp_path / "asked.png"))
    assert len(reader.shown) == 6
    assert set(turns_of(demos, question, letters)) == reader.shown


def test_building_again_asks_nothing_and_an_interrupted_build_goes_on(demos: LabelledSet, tmp_path: Path) -> None:
    class Interrupted(Counting):
        def aggregate(self, turns: Sequence[Turn]) -> Any:
            if self.asked:
                raise KeyboardInterrupt
            return super().aggregate(turns)

    with pytest.raises(KeyboardInterrupt):
        build(Banked(Interrupted(), Bank(tmp_path / "bank")), demos, batch=2)
    rest = build(Banked(Counting(), Bank(tmp_path / "bank")), demos, batch=2)
    assert (rest.demonstrations, rest.known, rest.aggregated, rest.unusable, rest.lost) == (6, 2, 4, 0, 0)
    again = build(Banked(Counting(), Bank(tmp_path / "bank")), demos)
    assert (again.known, again.aggregated) == (6, 0)
    assert len(Bank(tmp_path / "bank").index()) == 6


def test_what_finds_no_room_is_told(demos: LabelledSet, tmp_path: Path) -> None:
    built = build(Banked(Counting(), Bank(tmp_path / "bank", 2500)), demos, batch=1)
    bank = Bank(tmp_path / "bank")
    assert 0 < len(bank.index()) == 6 - built.lost < 6


def test_progress_counts_demonstrations(demos: LabelledSet, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    build(Banked(Counting(), Bank(tmp_path / "bank")), demos, batch=4, progress=lambda *both: heard.append(both))
    assert heard == [(4, 6), (6, 6)]


def test_a_picture_that_changes_meanwhile_is_never_stored_under_its_old_hash(
    demos: LabelledSet, tmp_path: Path, picture: Draw
) -> None:
    for data in (picture(50), b"torn"):
        (tmp_path / "labelled" / "dog" / "1.png").write_bytes(data)
        demos.data.cache_clear()  # type: ignore[attr-defined]
        with pytest.raises(InputError, match="changed since it was first read"):
            build(Banked(Counting(), Bank(tmp_path / "bank")), demos)


def test_more_labels_than_letters_are_told(demos: LabelledSet) -> None:
    from dataclasses import replace

    many = LabelledSet(tuple(replace(demos.rows[0], label=f"l{number}") for number in range(27)), (), demos.data)
    with pytest.raises(ConfigError, match="27 labels have no letters"):
        list(turns_of(many, letters=True))
