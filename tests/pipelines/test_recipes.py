"""The recipes in the repository fit the commands that they are written for."""

import subprocess
from pathlib import Path

import pytest

from curate.demonstrations import IMPORTERS
from curate.episodes.cells import cells_of
from curate.mixture.settings import load_spec
from curate.settings import build, load
from curate.sources import catalogue
from pipelines.chain import ChainSettings
from train.config import TrainConfig

RECIPE = Path(__file__).parents[2] / "recipes" / "embedded"
RUNS = sorted(path.stem for path in (RECIPE / "data").glob("*.yaml"))
PLANS = sorted(path.stem for path in (RECIPE / "mix").glob("*.yaml"))


@pytest.mark.parametrize("name", RUNS)
def test_data_are_known_samples_with_settings_that_hold(name: str) -> None:
    settings = load(ChainSettings, RECIPE / "data" / f"{name}.yaml")
    assert cells_of(settings.episodes)
    for source in settings.sources:
        build(IMPORTERS.get(source.kind).Settings, source.settings, source.name)
        assert source.path.removeprefix("sample:") in catalogue()


@pytest.mark.parametrize("name", ["emoji", "clipart"])
def test_held_out_data_are_the_other_side_of_the_same_split(name: str) -> None:
    rest, held = (load(ChainSettings, RECIPE / "data" / f"{stem}.yaml") for stem in (name, f"{name}-held"))
    splits = {source.name: source.settings["holdout"] for source in rest.sources}
    others = {source.name: source.settings["holdout"] for source in held.sources}
    assert splits.keys() <= others.keys()
    assert all(split == {**others[source], "take": "rest"} for source, split in splits.items())
    assert all(split["take"] == "held" for split in others.values())
    for source in rest.sources:
        twin = next(one for one in held.sources if one.name == source.name)
        assert {**twin.settings, "holdout": None} == {**source.settings, "holdout": None}


@pytest.mark.parametrize("name", PLANS)
def test_mixes_draw_from_runs_that_the_recipe_makes(name: str) -> None:
    spec = load_spec(RECIPE / "mix" / f"{name}.yaml")
    for source in spec.sources:
        place = (source.run or source.demonstrations).removeprefix("../data/")
        assert place in RUNS
        assert place.endswith("-held") == name.endswith("-held")


def test_stages_follow_each_other_and_measure_on_held_out_plans() -> None:
    align, icl = (load(TrainConfig, RECIPE / f"{stage}.yaml") for stage in ("align", "icl"))
    assert (align.stage, icl.stage, icl.model) == ("align", "icl", align.out)
    for config in (align, icl):
        assert config.validation is not None
        assert config.validation.plan == f"{config.data.plan}-held"
        assert {config.data.plan.removeprefix("plans/"), config.validation.plan.removeprefix("plans/")} <= set(PLANS)


def test_the_script_is_sound_and_names_its_mistakes(tmp_path: Path) -> None:
    script = RECIPE / "run.sh"
    subprocess.run(["sh", "-n", str(script)], check=True)
    ran = subprocess.run([str(script), "nonsense"], env={"WORK": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True)
    assert ran.returncode == 2
    assert b"unknown step: nonsense" in ran.stderr
