"""`curate mix` from a spec to plan, tables, page and shards; and its one-line answers to mistakes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from curate.errors import ConfigError, InputError, QualityError, ShotcraftError
from curate.shards import read
from curate.shards.plans import Plan
from pipelines.cli import app
from tests.mixture.small_runs import varied_run

COURSE = {"blocks": 3, "schedules": [{"axis": "shots", "kind": "cosine", "path": [0, 1, 2, 4]}]}
PER_SET = 6


def mix(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["mix", *map(str, arguments)], catch_exceptions=True)


def failed(result: Any, kind: type[ShotcraftError]) -> str:
    assert isinstance(result.exception, kind), result.exception
    return str(result.exception)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., bytes]) -> Path:
    """A folder with a run of 36 episodes and an instruction set of six questions about pictures."""
    root = tmp_path_factory.mktemp("mix")
    varied_run(root / "run", picture, 36)
    (root / "pictures").mkdir()
    entries = []
    for number in range(PER_SET):
        (root / "pictures" / f"{number}.png").write_bytes(picture(number, size=(40, 30)))
        said = [{"from": "human", "value": f"<image>\nWhat is number {number}?"}, {"from": "gpt", "value": "A drawing."}]
        entries.append({"id": str(number), "image": f"{number}.png", "conversations": said})
    entries.append({"id": "broken", "image": "missing.png", "conversations": entries[0]["conversations"]})
    (root / "llava.json").write_text(json.dumps(entries))
    return root


def written(place: Path, name: str = "spec", **spec: Any) -> Path:
    path = place / f"{name}.yaml"
    sources = spec.pop("sources", [{"name": "web", "run": "run"}])
    path.write_text(yaml.safe_dump({"sources": sources, **spec}))
    return path


def test_a_spec_becomes_a_plan_that_can_be_shown(place: Path, tmp_path: Path) -> None:
    spec = written(place, quotas=[{"axis": "format", "shares": "uniform"}], curriculum=COURSE)
    made = mix(spec, "--out", tmp_path / "plan", "-j", 1)
    assert made.exit_code == 0, made.output
    assert len(Plan.open(tmp_path / "plan")) == 36
    for words in ("format, shares of samples", "curriculum of shots, 3 blocks", "supervised tokens (estimate)"):
        assert words in made.stderr
    shown = mix("show", tmp_path / "plan", "--json")
    report = json.loads(shown.stdout)
    assert (report["size"]["samples"], report["tokens"], report["blocks"][-1]) == (36, "estimate", 36)
    page = mix("show", tmp_path / "plan", "--html", tmp_path / "mix.html")
    assert page.exit_code == 0, page.output
    assert "<script" not in (tmp_path / "mix.html").read_text()


def test_the_default_command_and_its_name_are_the_same(place: Path, tmp_path: Path) -> None:
    spec = written(place)
    plain = json.loads(mix("--out", tmp_path / "a", spec, "--json", "-j", 1).stdout)
    named = json.loads(mix("build", spec, "--out", tmp_path / "b", "--json", "-j", 1).stdout)
    assert {**plain, "plan": ""} == {**named, "plan": ""}
    assert "diff" in mix("--help").stdout


def test_the_flat_control_is_the_same_samples(place: Path, tmp_path: Path) -> None:
    spec = written(place, curriculum=COURSE)
    mix(spec, "--out", tmp_path / "a", "-j", 1)
    mix(spec, "--out", tmp_path / "b", "--set", "order=flat", "-j", 1)
    found = json.loads(mix("diff", tmp_path / "a", tmp_path / "b", "--json").stdout)
    assert (found["same_samples"], found["same_order"], found["equal"]) == (True, False, False)
    told = mix("diff", tmp_path / "a", tmp_path / "b")
    assert "same samples" in told.stderr


def test_instructions_and_demonstrations_are_mixed_in_as_replay(place: Path, tmp_path: Path) -> None:
    llava = {"name": "llava", "instructions": "llava.json", "images": "pictures", "replay": True, "licence": "CC0-1.0"}
    spec = written(place, "replay", sources=[{"name": "web", "run": "run"}, llava], replay="full")
    made = mix(spec, "--out", tmp_path / "plan", "--materialise", "-j", 1)
    assert made.exit_code == 0, made.output
    report = json.loads(mix("show", tmp_path / "plan", "--json").stdout)
    assert report["sources"]["llava"]["drawn"] == PER_SET
    singles = [s.record for s in read(tmp_path / "plan") if s.record["source"] == "llava"]
    assert sorted(record["query"]["question"] for record in singles) == [f"What is number {n}?" for n in range(PER_SET)]
    assert {(record["selector"], record["licence"]) for record in singles} == {("none", "CC0-1.0")}
    assert str(place) not in (tmp_path / "plan" / "plan.json").read_text()
    before = (tmp_path / "plan" / "sources" / "llava" / "shards" / "part-00000.tar").stat().st_mtime_ns
    assert mix(spec, "--out", tmp_path / "plan", "-j", 1).exit_code == 0
    assert (tmp_path / "plan" / "sources" / "llava" / "shards" / "part-00000.tar").stat().st_mtime_ns == before
    held = {"name": "held", "demonstrations": str(tmp_path / "plan" / "sources" / "llava")}
    again = mix(written(place, "held", sources=[held]), "--out", tmp_path / "held", "--json", "-j", 1)
    assert json.loads(again.stdout)["size"]["samples"] == PER_SET


def test_a_shared_catalogue_is_scanned_once_and_holds_the_sets_that_were_prepared(place: Path, tmp_path: Path) -> None:
    llava = {"name": "llava", "instructions": "llava.json", "images": "pictures"}
    spec = written(place, "shared", sources=[{"name": "web", "run": "run"}, llava], catalogue=str(tmp_path / "shared"))
    for seed in (1, 2):
        assert mix(spec, "--out", tmp_path / str(seed), "--set", f"seed={seed}", "-j", 1).exit_code == 0
        assert not (tmp_path / str(seed) / "catalogue").exists()
    assert len(list((tmp_path / "shared" / "sources").iterdir())) == 1
    assert Plan.open(tmp_path / "2").shards[-1][0].exists("part-00000.tar")


def test_tokens_of_a_processor_are_counted_by_the_trainer(place: Path, tmp_path: Path) -> None:
    from tests.train.tiny_processors import tiny_processor

    tiny_processor("vicuna").save_pretrained(tmp_path / "processor")
    spec = written(place, "exact", tokens=str(tmp_path / "processor"), unit="image_token")
    report = json.loads(mix(spec, "--out", tmp_path / "plan", "--json", "-j", 1).stdout)
    assert report["tokens"] == "processor processor"
    assert report["size"]["image_tokens"] == 16 * 110  # 16 tokens a picture, of which 36 episodes have 110
    assert str(tmp_path) not in (tmp_path / "plan" / "plan.json").read_text()


def test_a_share_out_of_reach_exits_3_and_is_written_all_the_same(place: Path, tmp_path: Path) -> None:
    spec = written(place, "off", quotas=[{"axis": "format", "shares": {"caption": 1, "essay": 1}}])
    message = failed(mix(spec, "--out", tmp_path / "plan", "-j", 1), QualityError)
    assert "--allow-nearest" in message
    assert QualityError.exit_code == 3
    assert len(Plan.open(tmp_path / "plan")) == 12
    accepted = mix(spec, "--out", tmp_path / "plan", "--allow-nearest", "-j", 1)
    assert accepted.exit_code == 0
    assert "essay" in accepted.stderr


def test_a_dry_run_checks_and_writes_nothing(place: Path, tmp_path: Path) -> None:
    llava = {"name": "llava", "instructions": "llava.json", "images": "pictures"}
    spec = written(place, "dry", sources=[{"name": "web", "run": "run"}, llava])
    told = mix(spec, "--out", tmp_path / "plan", "--dry-run", "--json")
    assert [row["samples"] for row in json.loads(told.stdout)["sources"]] == [36, None]
    assert "would write" in mix(spec, "--out", tmp_path / "plan", "--dry-run").stderr
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize(
    ("sources", "more", "kind", "says"),
    [
        ([{"name": "web", "run": "rum"}], {}, InputError, "does not exist"),
        ([{"name": "web", "run": "pictures"}], {}, InputError, "has no shards"),
        ([{"name": "web", "demonstrations": "pictures"}], {}, InputError, "has no demonstrations"),
        ([{"name": "web", "instructions": "nothing.json"}], {}, InputError, "nothing.json"),
        ([{"name": "web", "instructions": "llava.json", "images": "nowhere"}], {}, InputError, "is no folder"),
        ([{"name": "web", "runs": "run"}], {}, ConfigError, "did you mean 'run'"),
        ([{"name": "web", "run": "run"}], {"quotas": [{"axis": "formats", "shares": "uniform"}]}, ConfigError, "'format'"),
        ([{"name": "web", "run": "run"}], {"preset": "icl"}, ConfigError, "icl-tuning"),
        ([{"name": "web", "run": "run"}], {"tokens": "./no/processor"}, ShotcraftError, "processor"),
    ],
)
def test_mistakes_are_one_line(
    place: Path, tmp_path: Path, sources: Any, more: Any, kind: type[ShotcraftError], says: str
) -> None:
    message = failed(mix(written(place, "wrong", sources=sources, **more), "--out", tmp_path / "p", "-j", 1), kind)
    assert says in message
    assert not (tmp_path / "p" / "plan.json").exists()


def test_flags_and_places_that_are_wrong(place: Path, tmp_path: Path) -> None:
    spec = written(place)
    assert mix(spec).exit_code == 2
    assert mix(spec, "--out", tmp_path, "--materialize").exit_code == 2
    failed(mix(tmp_path / "no.yaml", "--out", tmp_path / "p"), InputError)
    assert "is a file" in failed(mix(spec, "--out", spec / "plan"), InputError)
    assert "holds no plan" in failed(mix("show", tmp_path), InputError)
    assert "holds no plan" in failed(mix("diff", tmp_path, tmp_path), InputError)
    mix(spec, "--out", tmp_path / "plan", "-j", 1)
    assert "is a folder" in failed(mix("show", tmp_path / "plan", "--html", tmp_path), InputError)


def test_a_plan_does_not_replace_the_shards_it_is_made_of(place: Path, tmp_path: Path) -> None:
    assert mix(written(place), "--out", tmp_path / "plan", "--materialise", "-j", 1).exit_code == 0
    again = written(place, "again", sources=[{"name": "web", "run": str(tmp_path / "plan")}])
    assert "own shards" in failed(mix(again, "--out", tmp_path / "plan", "-j", 1), ConfigError)
    assert mix(again, "--out", tmp_path / "other", "-j", 1).exit_code == 0


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys; import pipelines.cli; print([m for m in ('numpy', 'pyarrow', 'torch', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
