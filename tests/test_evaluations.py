"""Evaluation folders are read with care, and compared pair by pair."""

import json
from pathlib import Path

import pytest

from curate.comparisons import compare_evaluations, names_of
from curate.errors import InputError, IntegrityError
from curate.evaluations import (
    FORMAT,
    Answer,
    EvaluatedBench,
    Evaluation,
    EvaluationManifest,
    Row,
    is_evaluation,
    resolved,
    write_manifest,
    write_rows,
)
from curate.storage import Folder


def small(place: Path, rights: list[float], name: str = "model", digest: str = "d", cell: str = "full-1") -> Evaluation:
    """An evaluation of one cell; two items a group."""
    folder = Folder.of(place)
    bench = EvaluatedBench("b", digest, "1", "t", "choice", "choice", "emoji", "../b")
    write_manifest(folder, EvaluationManifest(FORMAT, name, {"weights": name}, {}, (bench,)))
    lines = [Answer(f"i{at}", f"g{at // 2}", "A", right, (-1.0, -2.0)).line() for at, right in enumerate(rights)]
    folder.write(f"answers/b/{cell}.jsonl", "".join(lines).encode())
    write_rows(
        folder, [Row("b", digest, "emoji", "choice", 1, "full", len(rights), len(rights) // 2, 0.5, 0.4, 0.6, 0.1, 0.5)]
    )
    return Evaluation.open(folder)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = small(tmp_path, [1.0, 0.0])
    assert is_evaluation(tmp_path)
    assert found.name == "model"
    assert found.row("b", "full", 1) == found.rows[0]
    assert found.row("b", "full", 2) is None
    assert list(found.cells()) == [("b", "full", 1)]
    assert found.answers("b", "full", 1)[1] == Answer("i1", "g0", "A", 0.0, (-1.0, -2.0))
    assert found.answers("b", "text", 1) == []
    assert found.bench("b") is None


def test_what_a_model_said_is_kept_as_it_is() -> None:
    said = "two\nlines \u2028 “é”"
    line = Answer("i", "g", "x", 0.0, said=said).line()
    assert line.count("\n") == 1
    assert Answer.of(json.loads(line)).said == said


@pytest.mark.parametrize("end", [b"", b'{"item": "i9"', b"\x00\xff\n", b'{"item": 1}\n', b'["x"]\n'])
def test_a_torn_or_foreign_line_ends_the_answers(tmp_path: Path, end: bytes) -> None:
    small(tmp_path, [1.0, 0.0])
    path = tmp_path / "answers/b/full-1.jsonl"
    path.write_bytes(path.read_bytes() + end)
    assert len(Evaluation.open(tmp_path).answers("b", "full", 1)) == 2


def test_no_evaluation_is_an_error_that_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="curate evaluate"):
        Evaluation.open(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"benches": 3}',
        "[" * 100_000,
        '{"format": 1, "name": "x", "model": {}, "settings": {}, "benches": [{}]}',
    ],
)
def test_a_damaged_manifest_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(IntegrityError):
        Evaluation.open(tmp_path)


def test_a_benchmark_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    small(tmp_path, [1.0, 0.0])
    path = tmp_path / "evaluation.json"
    path.write_text(path.read_text().replace('"name": "b"', '"name": "../../etc"'))
    with pytest.raises(IntegrityError):
        Evaluation.open(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"rows": 3}', '{"rows": [{}]}', '{"rows": [3]}'])
def test_damaged_results_are_an_error(tmp_path: Path, text: str) -> None:
    small(tmp_path, [1.0, 0.0])
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(IntegrityError):
        _ = Evaluation.open(tmp_path).rows


def test_results_of_a_later_version_with_more_columns_are_read(tmp_path: Path) -> None:
    small(tmp_path, [1.0, 0.0])
    path = tmp_path / "results.json"
    path.write_text(path.read_text().replace('"bench": "b"', '"bench": "b", "more": 1'))
    assert Evaluation.open(tmp_path).rows[0].bench == "b"


def test_places_are_relative_to_the_evaluation(tmp_path: Path) -> None:
    assert resolved(Folder.of(tmp_path / "out"), "../b").uri == str(tmp_path / "b")
    assert resolved(Folder.of(tmp_path), "s3://x/b").uri == "s3://x/b"


def test_a_better_model_is_told_with_its_interval(tmp_path: Path) -> None:
    base = small(tmp_path / "base", [1.0, 0.0] * 20, "base")
    tuned = small(tmp_path / "tuned", [1.0, 1.0] * 18 + [1.0, 0.0] * 2, "tuned")
    row = compare_evaluations([base, tuned])[0]
    assert (row.model, row.against, row.items, row.groups) == ("tuned", "base", 40, 20)
    assert row.difference == pytest.approx(0.45)
    assert 0.3 < row.low < row.difference < row.high <= 0.5
    assert row.p == row.p_holm < 0.001


def test_only_items_that_both_answered_count(tmp_path: Path) -> None:
    base, tuned = small(tmp_path / "a", [1.0] * 40), small(tmp_path / "b", [0.0] * 10)
    assert compare_evaluations([base, tuned])[0].items == 10


def test_tests_are_corrected_for_their_number(tmp_path: Path) -> None:
    base = small(tmp_path / "base", [0.0, 0.0] * 8)
    others = [small(tmp_path / f"o{at}", [1.0, 1.0] * 6 + [0.0, 0.0] * 2, f"o{at}") for at in range(3)]
    rows = compare_evaluations([base, *others])
    assert [row.p_holm for row in rows] == pytest.approx([3 * rows[0].p] * 3)


def test_models_of_one_name_are_told_by_their_folders(tmp_path: Path) -> None:
    runs = [small(tmp_path / "x" / "seed-1", [1.0, 0.0]), small(tmp_path / "y" / "seed-2", [1.0, 0.0])]
    assert names_of(runs) == ["seed-1", "seed-2"]


def test_other_benchmarks_of_the_same_name_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="different benchmarks called b"):
        compare_evaluations([small(tmp_path / "a", [1.0, 0.0]), small(tmp_path / "b", [1.0, 0.0], digest="e")])


def test_nothing_in_common_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two evaluations or more"):
        compare_evaluations([small(tmp_path / "a", [1.0, 0.0])])
    with pytest.raises(InputError, match="no answers to the same items"):
        compare_evaluations([small(tmp_path / "a", [1.0, 0.0]), small(tmp_path / "b", [1.0, 0.0], cell="text-1")])
