"""A spec is checked before any work, and its faults are named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from curate.errors import ConfigError, InputError
from curate.mixture.settings import MixSpec, load_spec, plan_folder, resolved
from curate.settings import build

SOURCE = {"name": "web", "run": "runs/demo"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"sources": [SOURCE], "quota": []}, "'quotas'"),
        ({"sources": [{**SOURCE, "wieght": 2}]}, "'weight'"),
        ({"sources": [SOURCE], "curriculum": {"block": 3}}, "'blocks'"),
        ({"sources": []}, "at least 1"),
        ({"sources": [SOURCE, SOURCE]}, "two sources are called 'web'"),
        ({"sources": [{"name": "web"}]}, "exactly one of run, shards, instructions, demonstrations"),
        ({"sources": [{**SOURCE, "shards": "x"}]}, "exactly one"),
        ({"sources": [{**SOURCE, "images": "x"}]}, "instructions only"),
        ({"sources": [{**SOURCE, "name": "../up"}]}, "sources.0.name"),
        ({"sources": [{**SOURCE, "weight": -1}]}, "weight"),
        ({"sources": [SOURCE], "size": 0}, "size"),
        ({"sources": [SOURCE], "size": "many"}, "size"),
        ({"sources": [SOURCE], "replay": 1.5}, "replay"),
        ({"sources": [SOURCE], "replay": "all"}, "replay"),
        ({"sources": [SOURCE], "unit": "token"}, "unit"),
        ({"sources": [SOURCE], "max_repeats": 0}, "max_repeats"),
        ({"sources": [SOURCE], "temperature": 0}, "temperature"),
        ({"sources": [SOURCE], "tolerance": 0}, "tolerance"),
        ({"sources": [SOURCE], "order": "random"}, "order"),
    ],
)
def test_a_fault_is_named_with_its_place(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(MixSpec, given)
    assert says in str(error.value)


def test_a_spec_is_read_with_overrides_and_a_wrong_preset_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text("sources: [{name: web, run: r}]\nquotas: [{axis: shots, shares: {0: 1, 4: 3}}]\n")
    spec = load_spec(path, ["order=flat", "curriculum.blocks=3"])
    assert (spec.order, spec.curriculum.blocks, spec.wanted_size) == ("flat", 3, None)
    with pytest.raises(ConfigError, match="icl-tuning"):
        load_spec(path, ["preset=icl-tunin"])


def test_the_example_of_the_documentation_is_a_spec() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "mix.md").read_text(encoding="utf-8")
    given = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    spec = build(MixSpec, given)
    assert {source.name for source in spec.sources} == {"web", "emoji", "llava", "stamps"}


def test_the_preset_lies_under_the_spec() -> None:
    plain = build(MixSpec, {"sources": [SOURCE], "preset": "icl-tuning"}).with_preset()
    assert plain.replay == "full"
    assert "format" in {quota.axis for quota in plain.quotas}
    own = build(MixSpec, {"sources": [SOURCE], "preset": "icl-tuning", "replay": None}).with_preset()
    assert own.replay is None


def test_relative_places_begin_at_the_spec() -> None:
    base = Path("specs/first")
    assert resolved(base, "../runs/demo") == "specs/runs/demo"
    assert resolved(base, "/runs/demo") == "/runs/demo"
    assert resolved(base, "s3://bucket/x") == "s3://bucket/x"


def test_a_plan_does_not_go_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        plan_folder(str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="--out"):
        plan_folder("")
