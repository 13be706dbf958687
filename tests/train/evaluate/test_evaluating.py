"""An evaluation folder: filled, gone on with, added to, and never mixed up."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from curate.benches import Bench
from curate.errors import ConfigError, InputError
from curate.evaluations import Evaluation
from curate.settings import build
from curate.storage import Folder
from tests.train.evaluate.tiny_benches import CopyLast, Seer, letter_items, tiny_bench, word_items
from train.evaluate.cells import EvaluateSettings
from train.evaluate.evaluating import Quiet, evaluate, planned
from train.evaluate.records import Ask


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return tiny_bench(tmp_path_factory.mktemp("bench"), letter_items(24, (0, 1, 2)))


def settings(**more: object) -> EvaluateSettings:
    return build(EvaluateSettings, {"chunk": 7, **more})


def content(out: Path) -> dict[str, bytes]:
    folder = Folder.of(out)
    return {name: folder.read(name) for name in folder.names() if name != ".lock"}


def score(evaluation: Evaluation, condition: str, shots: int) -> float:
    row = evaluation.row("tiny", condition, shots)
    assert row is not None
    return row.score


class Killed(Exception):
    pass


class Dies(Seer):
    """Ends as a killed process does, after so many calls."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def likelihoods(self, asks: Sequence[Ask]) -> list[list[float]]:
        self.calls -= 1
        if self.calls < 0:
            raise Killed
        return super().likelihoods(asks)


def test_a_model_that_sees_is_right_and_every_control_takes_it_to_chance(bench: Bench, tmp_path: Path) -> None:
    done = evaluate(Seer(), [bench], tmp_path / "out", settings())
    assert score(done, "full", 1) == score(done, "full", 2) == 1.0
    assert score(done, "none", 0) == 0.5
    for control in ("text", "shuffled", "swapped"):
        row = done.row("tiny", control, 1)
        assert row is not None
        assert row.low <= 0.5 <= row.high
        assert row.score < 0.75


def test_a_model_that_copies_is_at_chance_never_right_in_all_arrangements_and_found_out(bench: Bench, tmp_path: Path) -> None:
    done = evaluate(CopyLast(), [bench], tmp_path / "out", settings(shots=[1], conditions=["full"]))
    row = done.rows[0]
    assert (row.score, row.invariant, row.copies["last"]) == (0.5, 0.0, 1.0)
    assert (row.chance, row.baselines["knn"]) == (0.5, 1.0)
    assert (row.items, row.groups, row.skipped) == (96, 24, 0)


def test_answers_are_one_line_an_item(bench: Bench, tmp_path: Path) -> None:
    evaluate(Seer(), [bench], tmp_path / "out", settings(shots=[1], conditions=["full"], limit=1))
    lines = (tmp_path / "out/answers/tiny/full-1.jsonl").read_text().splitlines()
    assert len(lines) == 4
    first = json.loads(lines[0])
    assert sorted(first) == ["choice", "group", "item", "right", "scores"]
    assert len(first["scores"]) == 2


@pytest.mark.parametrize("calls", [0, 1, 5, 16])
def test_a_killed_evaluation_goes_on_and_comes_out_byte_for_byte(bench: Bench, tmp_path: Path, calls: int) -> None:
    evaluate(Seer(), [bench], tmp_path / "whole", settings(limit=5))
    with pytest.raises(Killed):
        evaluate(Dies(calls), [bench], tmp_path / "killed", settings(limit=5))
    evaluate(Seer(), [bench], tmp_path / "killed", settings(limit=5))
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.mark.parametrize("torn", [1, 10, 200, 900])
def test_a_torn_file_is_cut_to_whole_chunks_and_nothing_is_asked_twice(bench: Bench, tmp_path: Path, torn: int) -> None:
    evaluate(Seer(), [bench], tmp_path / "whole", settings(shots=[1], conditions=["full"]))
    evaluate(Seer(), [bench], tmp_path / "torn", settings(shots=[1], conditions=["full"]))
    path = tmp_path / "torn/answers/tiny/full-1.jsonl"
    path.write_bytes(path.read_bytes()[:-torn])
    whole_lines = path.read_bytes().count(b"\n")
    reader = Seer()
    evaluate(reader, [bench], tmp_path / "torn", settings(shots=[1], conditions=["full"]))
    assert content(tmp_path / "torn") == content(tmp_path / "whole")
    assert len(reader.asked) == 96 - whole_lines // 7 * 7


def test_a_finished_evaluation_asks_nothing(bench: Bench, tmp_path: Path) -> None:
    evaluate(Seer(), [bench], tmp_path / "out", settings(limit=3))
    before, reader = content(tmp_path / "out"), Seer()
    evaluate(reader, [bench], tmp_path / "out", settings(limit=3))
    assert reader.asked == []
    assert content(tmp_path / "out") == before


def test_shots_conditions_benchmarks_and_a_larger_limit_are_added(bench: Bench, tmp_path: Path) -> None:
    other = tiny_bench(tmp_path, word_items(5, (1,)), name="words")
    out = tmp_path / "out"
    evaluate(Seer(), [bench], out, settings(shots=[1], conditions=["full"], limit=3))
    evaluate(Seer(), [bench], out, settings(shots=[1, 2], conditions=["full", "text"], limit=6))
    done = evaluate(Seer(), [other], out, settings())
    cells = [(row.bench, row.condition, row.shots, row.groups) for row in done.rows]
    assert cells[:4] == [("tiny", "full", 1, 6), ("tiny", "text", 1, 6), ("tiny", "full", 2, 6), ("tiny", "text", 2, 6)]
    assert [cell[:3] for cell in cells[4:]] == [
        ("words", name, int(name != "none")) for name in ("none", "full", "text", "shuffled", "swapped")
    ]
    evaluate(Seer(), [bench], tmp_path / "once", settings(shots=[1, 2], conditions=["full", "text"], limit=6))
    assert (out / "answers/tiny/full-1.jsonl").read_bytes() == (tmp_path / "once/answers/tiny/full-1.jsonl").read_bytes()


def test_a_smaller_limit_keeps_what_was_answered(bench: Bench, tmp_path: Path) -> None:
    evaluate(Seer(), [bench], tmp_path / "out", settings(shots=[1], conditions=["full"], limit=6))
    done = evaluate(Seer(), [bench], tmp_path / "out", settings(shots=[1], conditions=["full"], limit=2))
    assert done.rows[0].groups == 2
    assert len(done.answers("tiny", "full", 1)) == 24


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda bench, out: evaluate(Seer("other"), [bench], out, settings(limit=1)), "another model"),
        (lambda bench, out: evaluate(Seer(), [bench], out, settings(limit=1, seed=1)), "under seed 0"),
        (lambda bench, out: evaluate(Seer(), [bench], out, settings(limit=1, scoring="generate")), "under scoring auto"),
    ],
)
def test_answers_of_other_models_and_settings_are_not_mixed(
    bench: Bench, tmp_path: Path, change: Callable[[Bench, Path], object], says: str
) -> None:
    evaluate(Seer(), [bench], tmp_path / "out", settings(limit=1))
    with pytest.raises(ConfigError, match=says):
        change(bench, tmp_path / "out")


def test_a_benchmark_that_changed_under_its_name_is_not_mixed_in(bench: Bench, tmp_path: Path) -> None:
    evaluate(Seer(), [bench], tmp_path / "out", settings(limit=1))
    with pytest.raises(ConfigError, match="another benchmark called tiny"):
        evaluate(Seer(), [tiny_bench(tmp_path, word_items(3, (1,)))], tmp_path / "out", settings(limit=1))


def test_a_folder_of_something_else_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match=r"thesis\.txt lies there"):
        evaluate(Seer(), [bench], tmp_path, settings(limit=1))
    with pytest.raises(InputError, match="is a file"):
        evaluate(Seer(), [bench], tmp_path / "thesis.txt", settings(limit=1))
    with pytest.raises(ConfigError, match="is a URL"):
        evaluate(Seer(), [bench], "memory://out", settings(limit=1))


def test_what_a_killed_process_left_before_it_began_is_no_obstacle(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".tmp-0123").write_text("{")
    evaluate(Seer(), [bench], tmp_path, settings(limit=1, shots=[1], conditions=["full"]))
    assert not (tmp_path / ".tmp-0123").exists()


def test_what_does_not_fit_is_wrong_and_counted(bench: Bench, tmp_path: Path) -> None:
    done = evaluate(Seer(most=2), [bench], tmp_path / "out", settings(conditions=["full"]))
    rows = {row.shots: row for row in done.rows}
    assert (rows[1].skipped, rows[1].score) == (0, 1.0)
    assert (rows[2].skipped, rows[2].score) == (rows[2].items, 0.0)


def test_likelihoods_that_are_no_numbers_are_written_as_json_can(bench: Bench, tmp_path: Path) -> None:
    class Broken(Seer):
        def likelihoods(self, asks: Sequence[Ask]) -> list[list[float]]:
            return [[float("nan"), -1.0] if at % 2 else [float("-inf"), -1.0] for at, _ in enumerate(asks)]

    done = evaluate(Broken(), [bench], tmp_path / "out", settings(shots=[1], conditions=["full"], chunk=96))
    assert done.rows[0].skipped == 48
    assert done.answers("tiny", "full", 1)[0].scores == (-1e6, -1.0)


def test_choices_can_be_written_instead(bench: Bench, tmp_path: Path) -> None:
    done = evaluate(Seer(), [bench], tmp_path / "out", settings(shots=[1], conditions=["full"], scoring="generate"))
    assert done.rows[0].score == 1.0
    assert done.answers("tiny", "full", 1)[0].said in ("A", "B")


def test_open_answers_are_written_and_have_no_chance(tmp_path: Path) -> None:
    bench = tiny_bench(tmp_path, word_items(8, (1,), choices=False), metric="exact")
    done = evaluate(Seer(), [bench], tmp_path / "out", settings(conditions=["full"]))
    row = done.rows[0]
    assert (row.score, row.chance, row.invariant, row.metric) == (1.0, None, 1.0, "exact")


def test_captions_have_two_rows(tmp_path: Path) -> None:
    pytest.importorskip("pycocoevalcap", reason="needs shotcraft[captions]")
    pytest.importorskip("rouge_score", reason="needs shotcraft[captions]")
    bench = tiny_bench(tmp_path, word_items(8, (1,), choices=False), metric="caption")
    done = evaluate(Seer(), [bench], tmp_path / "out", settings(conditions=["full"]))
    assert [(row.metric, row.invariant, row.chance) for row in done.rows] == [("cider", None, None), ("rouge-l", None, None)]
    assert done.rows[1].score == 1.0
    assert done.rows[0].low <= done.rows[0].score <= done.rows[0].high


def test_a_plan_tells_what_is_there_and_needs_no_model(bench: Bench, tmp_path: Path) -> None:
    evaluate(Seer(), [bench], tmp_path / "out", settings(shots=[1], conditions=["full"], limit=2))
    plans = planned([bench], tmp_path / "out", settings(shots=[1], limit=4))
    assert [(p.cell.condition, p.items, p.done) for p in plans] == [
        ("none", 8, 0), ("full", 16, 7), ("text", 16, 0), ("shuffled", 16, 0), ("swapped", 16, 0)
    ]  # fmt: skip


def test_progress_hears_of_every_item_once(bench: Bench, tmp_path: Path) -> None:
    class Counts(Quiet):
        total = done = 0

        def begin(self, done: int, total: int) -> None:
            self.done, self.total = done, total

        def answered(self, cell: str, items: int) -> None:
            self.done += items

    with pytest.raises(Killed):
        evaluate(Dies(3), [bench], tmp_path / "out", settings(limit=5))
    counts = Counts()
    evaluate(Seer(), [bench], tmp_path / "out", settings(limit=5), counts)
    assert counts.done == counts.total > 0


def test_the_folder_knows_its_benchmarks_by_relative_paths_and_no_machine(bench: Bench, tmp_path: Path) -> None:
    own = tiny_bench(tmp_path / "benches", letter_items(3, (1,)))
    done = evaluate(Seer(), [own], tmp_path / "out", settings(limit=1), name="mine")
    assert done.name == "mine"
    assert done.manifest.benches[0].place == "../benches/tiny"
    found = done.bench("tiny")
    assert found is not None
    assert found.digest == own.digest
    assert str(tmp_path) not in "".join(data.decode(errors="ignore") for data in content(tmp_path / "out").values())
