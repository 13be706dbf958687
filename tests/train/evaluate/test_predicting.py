"""One's own pictures get labels from demonstrations: chosen well, written once, gone on with after an interruption."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image as Pillow

from curate.errors import ConfigError, InputError
from curate.labelled import Rejected, read_labelled
from tests.train.evaluate.fake_readers import Copier
from train.evaluate import Predictor, PredictSettings
from train.evaluate.prediction_rows import Prediction

if TYPE_CHECKING:
    from PIL.Image import Image as Pixels

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
KINDS = ["jsonl", "csv"]


def plain(colour: tuple[int, int, int], shade: int) -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", (16, 12), tuple(max(0, part - shade) for part in colour)).save(out, "PNG")
    return out.getvalue()


class ByColour:
    """The mean colour as a vector."""

    fingerprint = "colour"

    def __init__(self) -> None:
        self.seen = 0

    def encode_images(self, pictures: "Sequence[Pixels]") -> np.ndarray:
        self.seen += len(pictures)
        means = np.stack([np.asarray(picture, np.float32).mean((0, 1)) for picture in pictures]) + 1
        return means / np.linalg.norm(means, axis=1, keepdims=True)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    for label, colour in COLOURS.items():
        (tmp_path / "labelled" / label).mkdir(parents=True)
        for shade in range(3):
            (tmp_path / "labelled" / label / f"{shade}.png").write_bytes(plain(colour, 10 * shade))
    return tmp_path / "labelled"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number in range(7):
        colour = list(COLOURS.values())[number % 3]
        (tmp_path / "photos" / f"{number}.png").write_bytes(plain(colour, 50 + number))
    return tmp_path / "photos"


def predictor(labelled: Path, reader: Copier | None = None, embedder: ByColour | None = None, **settings: object) -> Predictor:
    checked = PredictSettings.model_validate({"chunk": 2, **settings})
    return Predictor(reader or Copier(), read_labelled(labelled), checked, embedder)


def labels_of(reader: Copier) -> list[list[str]]:
    return [[turn.answer for turn in ask.demonstrations] for ask in reader.asked]


class TestDemonstrations:
    def test_fixed_ones_are_the_same_for_all_and_come_in_rounds(self, labelled: Path, photos: Path) -> None:
        reader = Copier()
        list(predictor(labelled, reader, shots=2).predict(photos))
        shown = labels_of(reader)
        assert all(answers == shown[0] for answers in shown)
        assert sorted(shown[0][:3]) == sorted(shown[0][3:]) == sorted(COLOURS)
        other = Copier()
        list(predictor(labelled, other, shots=2, seed=1).predict(photos))
        assert [ask.demonstrations for ask in other.asked] != [ask.demonstrations for ask in reader.asked]

    def test_retrieved_ones_are_the_most_similar_and_the_nearest_stands_last(self, labelled: Path, photos: Path) -> None:
        reader, eye = Copier(), ByColour()
        said = list(predictor(labelled, reader, eye, shots=1, select="retrieved").predict(photos))
        assert all(sorted(answers) == sorted(COLOURS) for answers in labels_of(reader))
        truth = [list(COLOURS)[number % 3] for number in range(7)]
        assert [one.label for one in said if isinstance(one, Prediction)] == truth
        assert eye.seen == 9 + 7  # every picture once

    def test_unbalanced_ones_are_the_nearest_whatever_their_label(self, labelled: Path, photos: Path) -> None:
        reader = Copier()
        list(predictor(labelled, reader, ByColour(), shots=3, select="retrieved", balanced=False).predict(photos))
        assert [set(answers) for answers in labels_of(reader)] == [{list(COLOURS)[number % 3]} for number in range(7)]
        assert {len(answers) for answers in labels_of(reader)} == {3}

    def test_ways_leave_only_the_nearest_labels_as_candidates(self, labelled: Path, photos: Path) -> None:
        reader = Copier()
        said = list(predictor(labelled, reader, ByColour(), shots=2, select="retrieved", ways=2).predict(photos))
        assert all(
            len(ask.choices) == 2 and set(ask.choices) == set(answers)
            for ask, answers in zip(reader.asked, labels_of(reader), strict=True)
        )
        assert all(
            isinstance(one, Prediction) and set(one.scores) == set(ask.choices)
            for one, ask in zip(said, reader.asked, strict=True)
        )

    @pytest.mark.parametrize("select", ["fixed", "retrieved"])
    def test_a_picture_does_not_demonstrate_itself(self, labelled: Path, select: str) -> None:
        reader = Copier()
        list(predictor(labelled, reader, ByColour(), shots=3, select=select).predict(labelled))
        for ask in reader.asked:
            assert ask.query.pictures[0].ref not in {picture.ref for turn in ask.demonstrations for picture in turn.pictures}
            assert len(ask.demonstrations) == 8

    def test_none_at_all(self, labelled: Path, photos: Path) -> None:
        reader = Copier()
        said = list(predictor(labelled, reader, shots=0).predict(photos))
        assert labels_of(reader) == [[]] * 7
        assert all(isinstance(one, Prediction) and one.score == pytest.approx(1 / 3, abs=1e-6) for one in said)


class TestWords:
    def test_one_plain_question_where_nobody_has_any(self, labelled: Path, photos: Path) -> None:
        reader = Copier()
        list(predictor(labelled, reader).predict(photos))
        turns = [turn for ask in reader.asked for turn in (*ask.demonstrations, ask.query)]
        assert {turn.question for turn in turns} == {"What is shown in this picture?"}
        assert reader.asked[0].choices == ("blue", "green", "red")
        assert reader.asked[0].query.answer == ""

    def test_a_question_may_list_the_labels(self, labelled: Path, photos: Path) -> None:
        reader = Copier()
        list(predictor(labelled, reader, question="Which of {options}?").predict(photos))
        assert reader.asked[0].query.question == "Which of blue, green, red?"

    def test_letters_stand_for_labels(self, labelled: Path, photos: Path) -> None:
        reader = Copier()
        said = list(predictor(labelled, reader, ByColour(), select="retrieved", letters=True).predict(photos))
        ask = reader.asked[0]
        assert ask.choices == ("A", "B", "C")
        assert "A. blue\nB. green\nC. red" in ask.query.question
        assert {turn.answer for turn in ask.demonstrations} == {"A", "B", "C"}
        assert [one.label for one in said[:3] if isinstance(one, Prediction)] == list(COLOURS)

    @pytest.mark.parametrize("select", ["fixed", "retrieved"])
    def test_what_a_blank_picture_makes_likely_is_divided_out(self, labelled: Path, photos: Path, select: str) -> None:
        reader = Copier()
        said = list(predictor(labelled, reader, ByColour(), select=select, shots=1, calibrate=True).predict(photos))
        assert all(isinstance(one, Prediction) and set(one.scores.values()) == {0.333333} for one in said)
        lists = {tuple(ask.demonstrations) for ask in reader.asked}
        assert len(reader.asked) - 7 >= len(lists)  # a blank for each list of demonstrations and chunk
        assert len(reader.asked) == 8 if select == "fixed" else len(lists) > 1

    def test_open_answers_are_written_by_the_model(self, labelled: Path, photos: Path) -> None:
        said = list(predictor(labelled, embedder=ByColour(), labels="open", select="retrieved", shots=1).predict(photos))
        assert [(one.label, one.score) for one in said[:3] if isinstance(one, Prediction)] == [(c, None) for c in COLOURS]

    def test_a_record_keeps_its_own_question_and_captions_have_none(self, labelled: Path, photos: Path) -> None:
        rows = [{"image": f"{label}/0.png", "label": f"A {label} one.", "question": ""} for label in COLOURS]
        rows[0]["question"] = "Which colour?"
        table = labelled / "t.jsonl"
        table.write_text("\n".join(map(json.dumps, rows)))
        reader = Copier()
        list(predictor(table, reader, labels="open").predict(photos))
        assert sorted(turn.question for turn in reader.asked[0].demonstrations) == ["", "", "Which colour?"]
        assert reader.asked[0].query.question == ""

    def test_what_does_not_go_together_is_told(self, labelled: Path, tmp_path: Path) -> None:
        for settings, message in (
            ({"ways": 2}, "ways: goes with"),
            ({"select": "retrieved"}, "needs an encoder"),
        ):
            with pytest.raises(ConfigError, match=message):
                predictor(labelled, **settings)  # type: ignore[arg-type]
        for label in range(30):
            (tmp_path / "many" / f"l{label}").mkdir(parents=True)
            (tmp_path / "many" / f"l{label}" / "x.png").write_bytes(plain((label, 0, 0), 0))
        with pytest.raises(ConfigError, match="30 labels have no letters"):
            predictor(tmp_path / "many", letters=True)


def rows_of(out: Path) -> list[dict[str, str]]:
    if out.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(out.read_bytes().decode(), newline="")))
    return [json.loads(line) for line in out.read_text().rstrip("\n").split("\n")]


class Torn(Exception):
    """What a test ends a run with."""


def interrupt_after(chunks: int) -> Callable[[int, int], None]:
    left = [chunks]

    def progress(done: int, total: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Torn

    return progress


@pytest.mark.parametrize("kind", KINDS)
class TestFiles:
    def test_every_picture_has_one_row(self, labelled: Path, photos: Path, tmp_path: Path, kind: str) -> None:
        out = tmp_path / f"said.{kind}"
        summary = predictor(labelled, embedder=ByColour(), select="retrieved", shots=1).write(photos, out)
        assert (summary.pictures, summary.predicted, summary.new, summary.rejected) == (7, 7, 7, {})
        assert summary.labels == {"blue": 3, "green": 2, "red": 2}
        rows = rows_of(out)
        assert [row["image"] for row in rows] == [f"{number}.png" for number in range(7)]
        best = float(rows[0]["score"])
        scores = rows[0]["scores"] if kind == "jsonl" else {c: float(rows[0][f"p({c})"]) for c in COLOURS}
        assert isinstance(scores, dict)
        assert max(scores.values()) == best == scores["blue"]
        assert sum(scores.values()) == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize("torn", [0, 1, 40, 90])
    def test_an_interrupted_run_goes_on_and_nothing_is_doubled(
        self, labelled: Path, photos: Path, tmp_path: Path, kind: str, torn: int
    ) -> None:
        whole, out = tmp_path / f"whole.{kind}", tmp_path / f"said.{kind}"
        predictor(labelled).write(photos, whole)
        with pytest.raises(Torn):
            predictor(labelled).write(photos, out, interrupt_after(2))
        out.write_bytes(out.read_bytes()[: out.stat().st_size - torn])  # as a killed process may leave it
        reader = Copier()
        summary = predictor(labelled, reader).write(photos, out)
        assert out.read_bytes() == whole.read_bytes()
        assert len(reader.asked) == summary.new == 3 + (torn > 0)
        again = predictor(labelled, nobody := Copier()).write(photos, out)
        assert (again.new, nobody.asked) == (0, [])
        assert out.read_bytes() == whole.read_bytes()

    def test_a_picture_with_other_bytes_is_predicted_anew(
        self, labelled: Path, photos: Path, tmp_path: Path, kind: str
    ) -> None:
        out = tmp_path / f"said.{kind}"
        predictor(labelled).write(photos, out)
        (photos / "2.png").write_bytes(plain((9, 9, 9), 0))
        summary = predictor(labelled, reader := Copier()).write(photos, out)
        assert [ask.id for ask in reader.asked] == ["2.png"]
        assert summary.predicted == len(rows_of(out)) == 7

    def test_bad_pictures_are_rejected_counted_and_tried_again(
        self, labelled: Path, photos: Path, tmp_path: Path, kind: str
    ) -> None:
        out = tmp_path / f"said.{kind}"
        (photos / "3.png").write_bytes(b"torn")
        summary = predictor(labelled).write(photos, out)
        assert (summary.predicted, summary.rejected) == (6, {"unknown_format": 1})
        assert summary.rejected_share == pytest.approx(1 / 7)
        noted = [json.loads(line) for line in (tmp_path / f"said.{kind}.rejected.jsonl").read_text().splitlines()]
        assert noted == [{"name": "3.png", "reason": "unknown_format", "detail": noted[0]["detail"]}]
        (photos / "3.png").write_bytes(plain((1, 2, 3), 0))
        mended = predictor(labelled).write(photos, out)
        assert (mended.predicted, mended.new, mended.rejected) == (7, 1, {})
        assert (tmp_path / f"said.{kind}.rejected.jsonl").read_text() == ""

    def test_rows_of_other_models_settings_or_demonstrations_do_not_mix(
        self, labelled: Path, photos: Path, tmp_path: Path, kind: str
    ) -> None:
        out = tmp_path / f"said.{kind}"
        predictor(labelled).write(photos, out)
        before = out.read_bytes()
        with pytest.raises(ConfigError, match=r"other model\)"):
            predictor(labelled, Copier(weights="other")).write(photos, out)
        with pytest.raises(ConfigError, match=r"other settings\)"):
            predictor(labelled, shots=1).write(photos, out)
        (labelled / "red" / "0.png").unlink()
        with pytest.raises(ConfigError, match=r"other demonstrations\)"):
            predictor(labelled).write(photos, out)
        assert out.read_bytes() == before

    def test_somebody_elses_file_is_left_alone(self, labelled: Path, photos: Path, tmp_path: Path, kind: str) -> None:
        out = tmp_path / f"mine.{kind}"
        out.write_text("precious")
        with pytest.raises(ConfigError, match="not made by this command"):
            predictor(labelled).write(photos, out)
        assert out.read_text() == "precious"
        assert sorted(place.name for place in tmp_path.glob("mine*")) == [out.name]

    def test_two_at_once_are_refused(self, labelled: Path, photos: Path, tmp_path: Path, kind: str) -> None:
        out = tmp_path / f"said.{kind}"

        def second(done: int, total: int) -> None:
            if done == 2:
                with pytest.raises(ConfigError, match="another process writes"):
                    predictor(labelled).write(photos, out)

        assert predictor(labelled).write(photos, out, second).predicted == 7

    def test_awkward_words_come_back_whole(self, labelled: Path, photos: Path, tmp_path: Path, kind: str) -> None:
        for number, label in enumerate(['a "b", c', "two\nlines", "\u2028 und é"]):
            rows = [{"image": f"{colour}/0.png", "label": label} for colour in COLOURS]
            table = labelled / f"t{number}.jsonl"
            table.write_text("\n".join(map(json.dumps, rows)))
            (photos / "0.png").rename(photos / 'x,"y é.png')
            out = tmp_path / f"said{number}.{kind}"
            with pytest.raises(Torn):
                predictor(table, labels="open").write(photos, out, interrupt_after(2))
            predictor(table, labels="open").write(photos, out)
            assert sorted(row["image"] for row in rows_of(out)) == sorted(place.name for place in photos.iterdir())
            (photos / 'x,"y é.png').rename(photos / "0.png")


class TestMisfits:
    def test_asks_that_do_not_fit_are_rejected(self, labelled: Path, tmp_path: Path, photos: Path) -> None:
        (photos / "own.png").write_bytes((labelled / "red" / "0.png").read_bytes())  # has one demonstration less
        said = list(predictor(labelled, Copier(most=8), shots=3, chunk=8).predict(photos))
        assert [isinstance(one, Rejected) and one.reason for one in said] == ["too_long"] * 7 + [False]

    def test_when_nothing_fits_the_run_ends_at_once(self, labelled: Path, photos: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"with 9 demonstrations; lower --shots"):
            predictor(labelled, Copier(most=3)).write(photos, tmp_path / "x.jsonl")

    def test_an_empty_folder_and_a_strange_name(self, labelled: Path, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "none").mkdir()
        with pytest.raises(InputError, match="holds no pictures"):
            list(predictor(labelled).predict(tmp_path / "none"))
        with pytest.raises(ConfigError, match=r"neither in .jsonl nor in .csv"):
            predictor(labelled).write(photos, tmp_path / "x.parquet")
