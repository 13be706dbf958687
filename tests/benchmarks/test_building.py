"""Benchmarks are frozen: equal specs, equal bytes; what is there is kept; what is wrong is found."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from curate.benches import BENCH, IMAGES, Bench
from curate.benchmarks.building import Built, build_benches, plan_benches
from curate.benchmarks.checking import check_bench
from curate.benchmarks.disjoint import DISJOINT
from curate.benchmarks.settings import load_spec
from curate.errors import ConfigError, InputError, IntegrityError, QualityError, ShotcraftError
from curate.storage import Folder
from pipelines.cli import app
from tests.benchmarks.small_world import world

TWO = {"name": "two", "kind": "choice", "demonstrations": "run", "shots": [0, 1, 2], "queries": 8}
SAID = {"name": "said", "kind": "caption", "demonstrations": "run", "shots": [0, 2], "queries": 5}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `run` and a training run `train` that shares its class "thing 11"."""
    folder = tmp_path_factory.mktemp("place")
    world(folder / "run")
    world(folder / "train", first=11)
    return folder


def spec_file(place: Path, *benchmarks: dict[str, Any], **more: Any) -> Path:
    guard = {"guard": {"cosine": None}}
    file = place / "spec.yaml"
    whole = {"benchmarks": [{**guard, **bench} for bench in benchmarks], "decontaminate": {"against": ["train"]}, **more}
    file.write_text(yaml.safe_dump(whole))
    return file


def built(place: Path, out: Path, *benchmarks: dict[str, Any], **more: Any) -> list[Built]:
    spec, benches = load_spec(spec_file(place, *benchmarks, **more), [])
    return build_benches(spec, benches, place, Folder.of(out))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_equal_specs_give_equal_bytes_wherever_they_lie(place: Path, tmp_path: Path) -> None:
    built(place, tmp_path / "a", TWO, SAID)
    built(place, tmp_path / "b", SAID, TWO)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert str(place) not in (tmp_path / "a/two" / BENCH).read_text()


def test_a_frozen_benchmark_is_whole_and_sound(place: Path, tmp_path: Path) -> None:
    for each in built(place, tmp_path, TWO, SAID):
        bench = Bench.open(each.bench.folder)
        assert bench.digest == each.bench.digest
        assert check_bench(bench, [str(place / "train")]) == []
        assert sum(bench.manifest.licences.values()) == len((bench.folder / IMAGES).names())
    two = Bench.open(tmp_path / "two")
    assert two.manifest.counts == {"0": {"items": 16, "groups": 8}} | {k: {"items": 32, "groups": 8} for k in ("1", "2")}
    assert two.manifest.baselines["1"]["chance"] == 0.5 < two.manifest.baselines["1"]["knn"]
    assert two.manifest.spec["demonstrations"] == "run"


def test_what_training_has_is_left_out_counted_and_told(place: Path, tmp_path: Path) -> None:
    found = built(place, tmp_path, {**TWO, "queries": 40})[0].bench.manifest.disjoint
    assert found["left_out"]["demonstrations"] == {"concept_in_training": 18}
    assert found["left_out"]["questions"]["class_in_training"] == 1
    assert set(found["shared"].values()) == {0}
    assert "thing 11" not in {name for item in Bench.open(tmp_path / "two").items for name in item.episode.query.options}
    text = (tmp_path / "two" / DISJOINT).read_text()
    assert "| train | run | 216 |" in text
    assert "| demonstration: concept in training | 18 |" in text


def test_what_is_frozen_is_not_replaced_under_the_same_version(place: Path, tmp_path: Path) -> None:
    assert [each.unchanged for each in built(place, tmp_path, TWO)] == [False]
    before = files(tmp_path)
    assert [each.unchanged for each in built(place, tmp_path, TWO)] == [True]
    with pytest.raises(InputError, match="frozen as version 1"):
        built(place, tmp_path, TWO, seed=1)
    assert files(tmp_path) == before
    built(place, tmp_path, {**TWO, "version": "2"}, seed=1)
    again = Bench.open(tmp_path / "two")
    assert (again.manifest.version, check_bench(again)) == ("2", [])


def test_a_killed_build_leaves_nothing_that_opens_and_is_built_over(place: Path, tmp_path: Path) -> None:
    built(place, tmp_path / "whole", TWO)
    built(place, tmp_path / "killed", {**TWO, "queries": 4})
    (tmp_path / "killed/two" / BENCH).unlink()
    with pytest.raises(InputError, match="holds no benchmark"):
        Bench.open(tmp_path / "killed/two")
    built(place, tmp_path / "killed", TWO)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_benchmark_that_shares_something_is_not_written(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.benchmarks.building.faults", lambda run, rows, *rest: [""] * len(rows))
    monkeypatch.setattr("curate.benchmarks.kinds.choice.concept_classes", _all_classes)
    with pytest.raises(QualityError, match="shares"):
        built(place, tmp_path, {**TWO, "queries": 40})
    assert not tmp_path.joinpath("two").exists()


def _all_classes(material: Any, spec: Any) -> Any:
    from dataclasses import replace

    from curate.benchmarks.classes import concept_classes

    return concept_classes(replace(material, concepts=frozenset()), spec)


def test_a_dry_run_says_what_would_be_written(place: Path, tmp_path: Path) -> None:
    spec, benches = load_spec(spec_file(place, TWO), [])
    would = plan_benches(spec, benches, place)
    there = built(place, tmp_path, TWO)[0].bench.manifest
    assert [(m.name, m.counts, m.baselines, m.disjoint) for m in would] == [
        (there.name, there.counts, there.baselines, there.disjoint)
    ]


def test_the_check_finds_changed_pictures_strangers_and_shared_ones(place: Path, tmp_path: Path) -> None:
    bench = built(place, tmp_path, TWO)[0].bench
    assert any("concepts are training's too" in line for line in check_bench(bench, [str(place / "run")]))
    pictures = sorted((tmp_path / "two" / IMAGES).rglob("*.png"))
    pictures[0].write_bytes(b"other")
    pictures[1].unlink()
    (pictures[2].parent / "stranger.png").write_bytes(b"")
    lines = check_bench(bench)
    assert len(lines) == 3
    (tmp_path / "two/items.parquet").write_bytes(b"")
    with pytest.raises(IntegrityError, match="not what"):
        Bench.open(tmp_path / "two")


@pytest.mark.parametrize(
    ("benchmarks", "says"),
    [
        ([{**TWO, "kind": "choise"}], "did you mean 'choice'"),
        ([{**TWO, "way": 3}], "did you mean 'ways'"),
        ([{**TWO, "name": "../up"}], "name"),
        ([{**TWO, "kind": None}], "kind is missing"),
        ([TWO, TWO], "two benchmarks are called two"),
        ([], "benchmarks"),
        ([{**TWO, "demonstrations": "nowhere"}], "has no demonstrations"),
        ([{**TWO, "shots": []}], "at least one"),
    ],
)
def test_a_wrong_spec_is_told_in_a_line(place: Path, tmp_path: Path, benchmarks: list[dict[str, Any]], says: str) -> None:
    with pytest.raises((ConfigError, InputError), match=says) as caught:
        built(place, tmp_path, *benchmarks)
    assert isinstance(caught.value, ShotcraftError)


def test_the_commands_build_show_and_check(place: Path, tmp_path: Path) -> None:
    runner, file = CliRunner(), str(spec_file(place, TWO))
    dry = runner.invoke(app, ["bench", "build", file, "--out", str(tmp_path), "--dry-run", "--json"])
    assert dry.exit_code == 0
    assert not list(tmp_path.iterdir())
    made = runner.invoke(app, ["bench", "build", file, "--out", str(tmp_path), "--json"])
    assert json.loads(made.stdout)[0]["counts"] == json.loads(dry.stdout)[0]["counts"]
    shown = runner.invoke(app, ["bench", "show", str(tmp_path / "two"), "--json"])
    assert json.loads(shown.stdout)["digest"] == json.loads(made.stdout)[0]["digest"]
    assert runner.invoke(app, ["bench", "show", str(tmp_path / "two")]).exit_code == 0
    sound = runner.invoke(app, ["bench", "check", str(tmp_path / "two"), "--against", str(place / "train"), "--json"])
    assert json.loads(sound.stdout)["faults"] == []
    bad = runner.invoke(app, ["bench", "check", str(tmp_path / "two"), "--against", str(place / "run")])
    assert isinstance(bad.exception, QualityError)
