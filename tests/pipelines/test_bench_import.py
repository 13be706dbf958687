"""`curate bench import` as a person types it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from curate.benches import Bench
from curate.errors import ConfigError, InputError, QualityError
from pipelines.cli import app
from tests.benchmarks.test_importing import open_mi, vqa


def curate(*words: object) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.exception


def test_an_import_is_a_benchmark_under_the_name_of_its_folder(tmp_path: Path) -> None:
    given = ("bench", "import", "vl-icl", open_mi(tmp_path), "--out", tmp_path / "benches" / "mi", "--set", "shots=[0,1]")
    code, out, _ = curate(*given, "--json")
    said = json.loads(out)
    assert (code, said["name"], said["counts"]["1"], said["rejected"]) == (0, "mi", {"items": 4, "groups": 4}, {})
    assert Bench.open(tmp_path / "benches" / "mi").shots == [0, 1]
    code, out, _ = curate("bench", "check", tmp_path / "benches" / "mi", "--json")
    assert (code, json.loads(out)["faults"]) == (0, [])
    assert curate(*given)[0] == 0  # the same again changes nothing


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    vqa(tmp_path / "vqa", "val", 3, 0)
    code, _, _ = curate(
        "bench", "import", "flamingo", tmp_path / "vqa", "--out", tmp_path / "b", "--set", "shots=[1]", "--dry-run"
    )
    assert code == 0
    assert not (tmp_path / "b").exists()


def test_what_a_user_does_wrong_is_said_with_what_is_known(tmp_path: Path) -> None:
    vqa(tmp_path / "vqa", "val", 3, 0)
    (tmp_path / "vqa" / "COCO_val2014_000000000001.jpg").unlink()
    out = ("--out", tmp_path / "b")
    for words, error, part in [
        (("vl_icl", tmp_path / "vqa", *out), ConfigError, "did you mean 'vl-icl'"),
        (("vl-icl", tmp_path / "vqa", *out), InputError, "query.json"),
        (("vl-icl", tmp_path / "gone", *out), InputError, "does not exist"),
        (("flamingo", tmp_path / "vqa", *out, "--set", "shot=[1]"), ConfigError, "did you mean 'shots'"),
        (("flamingo", tmp_path / "vqa", *out, "--set", "shots=[1]", "--max-rejected", "0"), QualityError, "missing_file 1"),
    ]:
        code, _, raised = curate("bench", "import", *words)
        assert code != 0
        assert isinstance(raised, error)
        assert part in str(raised)
    assert not (tmp_path / "b").exists()
