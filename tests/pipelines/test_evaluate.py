"""`curate evaluate` on a tiny real model: from a benchmark's folder to a table, killed, gone on with, compared."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curate.evaluations import Evaluation
from pipelines.cli import app
from tests.train.evaluate.tiny_benches import letter_items, tiny_bench
from tests.train.tiny_processors import tiny_processor
from tests.train.tiny_runs import save_tiny_model

FEW = ("--shots", "0,1", "--limit", "3", "--set", "threads=1", "--set", "chunk=4")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), "vicuna", tiny_processor("vicuna"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tiny_bench(tmp_path_factory.mktemp("bench"), letter_items(8, (0, 1))).folder.uri)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, model: Path, bench: Path) -> Path:
    """A finished evaluation."""
    out = tmp_path_factory.mktemp("done") / "out"
    assert curate("evaluate", model, bench, "--out", out, *FEW).exit_code == 0
    return out


def curate(*words: object):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, [str(word) for word in words])


def content(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_scores_controls_and_baselines_stand_in_one_row(done: Path, model: Path, bench: Path) -> None:
    table = curate("evaluate", model, bench, "--out", done, *FEW).stderr
    for word in ("score", "text", "shuffled", "swapped", "chance", "knn", "orders", "tiny"):
        assert word in table
    assert sorted(path.name for path in (done / "answers/tiny").iterdir()) == [
        "full-1.jsonl", "none-0.jsonl", "shuffled-1.jsonl", "swapped-1.jsonl", "text-1.jsonl"
    ]  # fmt: skip


def test_scripts_get_the_rows(done: Path, model: Path, bench: Path) -> None:
    found = json.loads(curate("evaluate", model, bench, "--out", done, *FEW, "--json").stdout)
    assert [(row["condition"], row["shots"], row["groups"]) for row in found["rows"]] == [
        ("none", 0, 3), ("full", 1, 3), ("text", 1, 3), ("shuffled", 1, 3), ("swapped", 1, 3)
    ]  # fmt: skip


def test_what_questions_cost_is_told_and_kept(tmp_path: Path, model: Path, bench: Path) -> None:
    out = tmp_path / "out"
    words = ("evaluate", model, bench, "--out", out, *FEW, "--conditions", "text")
    assert curate(*words).exit_code == 0
    assert not (out / "costs.json").exists()
    assert "what 2 questions of tiny cost" in curate(*words, "--costs", 2).stderr
    told = json.loads(curate(*words, "--costs", 2, "--json").stdout)["costs"]
    kept = Evaluation.open(out).costs
    assert [(row["shots"], row["state"], row["questions"]) for row in told] == [
        (0, "cold", 2), (1, "cold", 2), (0, "warm", 2), (1, "warm", 2)
    ]  # fmt: skip
    assert [row["prompt_tokens"] for row in told] == [cost.prompt_tokens for cost in kept]


def test_a_dry_run_loads_no_model_and_writes_nothing(tmp_path: Path, model: Path, bench: Path) -> None:
    found = curate("evaluate", model, bench, "--out", tmp_path / "out", *FEW, "--dry-run", "--json")
    assert [row["items"] for row in json.loads(found.stdout)] == [6, 12, 12, 12, 12]
    told = curate("evaluate", model, bench, "--out", tmp_path / "out", *FEW, "--dry-run", "--costs", 2).stderr
    assert "then the costs of at most 2 questions" in told
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_when_neither_disk_nor_hub_has_the_model(
    tmp_path: Path, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.model.places.silence", lambda name: "no network")
    told = curate("evaluate", "runs/nothing", bench, "--out", tmp_path / "out", *FEW, "--dry-run").stderr
    assert "runs/nothing is no folder here" in told


def test_a_bank_for_a_model_that_fuses_nothing_is_an_error(tmp_path: Path, model: Path, bench: Path) -> None:
    found = curate("evaluate", model, bench, "--out", tmp_path / "out", *FEW, "--set", f"bank={tmp_path / 'bank'}")
    assert found.exit_code != 0
    assert "fuses no demonstrations" in str(found.exception)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--shots", "one"), "--shots wants numbers"),
        (("--conditions", "shufled"), "did you mean 'shuffled'"),
        (("--set", "batch_token=1"), "did you mean 'batch_tokens'"),
        (("--shots", "9", "--conditions", "full"), "nothing of what is asked for"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    tmp_path: Path, model: Path, bench: Path, words: tuple[str, ...], says: str
) -> None:
    found = curate("evaluate", model, bench, "--out", tmp_path / "out", *words)
    assert found.exit_code != 0
    assert says in str(found.exception)


def test_a_place_that_is_no_benchmark_is_an_error(tmp_path: Path, model: Path) -> None:
    found = curate("evaluate", model, tmp_path, "--out", tmp_path / "out")
    assert "holds no benchmark" in str(found.exception)


def test_a_killed_process_goes_on_to_the_same_bytes(tmp_path: Path, done: Path, model: Path, bench: Path) -> None:
    out = done.parent / "killed"
    words = [sys.executable, "-m", "pipelines.cli", "evaluate", str(model), str(bench), "--out", str(out), *FEW]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    until = time.monotonic() + 60
    while process.poll() is None and not list(out.glob("answers/*/full-1.jsonl")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert curate("evaluate", model, bench, "--out", out, *FEW).exit_code == 0
    assert content(out) == content(done)


def test_evaluations_are_compared_pair_by_pair(done: Path, tmp_path: Path, bench: Path) -> None:
    import torch

    torch.manual_seed(7)
    other = save_tiny_model(tmp_path / "other", "vicuna", tiny_processor("vicuna"))
    assert curate("evaluate", other, bench, "--out", tmp_path / "out", *FEW, "--name", "rival").exit_code == 0
    rows = json.loads(curate("evaluate", "compare", done, tmp_path / "out", "--conditions", "full,none", "--json").stdout)
    assert [(row["model"], row["condition"], row["items"]) for row in rows] == [("rival", "none", 6), ("rival", "full", 12)]
    assert all(0 < row["p"] <= row["p_holm"] <= 1 for row in rows)
    table = curate("evaluate", "compare", done, tmp_path / "out").stderr
    assert "gain" in table
    assert "rival" in table


def test_a_comparison_of_one_is_an_error(done: Path) -> None:
    assert "two evaluations or more" in str(curate("evaluate", "compare", done).exception)
