"""Experiments say what is wrong with them before any work."""

from pathlib import Path

import pytest

from curate.errors import ConfigError
from pipelines.headline.settings import load_experiment
from pipelines.jobs.layers import laid_over

RECIPE = Path(__file__).parents[3] / "recipes" / "headline" / "headline.yaml"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("stages.coherent.model=basline", "did you mean"),
        ("stages.coherent.plan=icll", "icl"),
        ("claim.tuned=nothing", "claim names 'nothing'"),
        ("claim.unseen=[emoji-nothing]", "emoji-nothing"),
        ("plans.icl.fit=nothing", "plans.icl.fit"),
        ("plans.icl.size_of=single", "not both"),
        ("plans.icl-dev.size_of=singel", "plans.icl-dev.size_of"),
        ("evaluate.main.benches=[helt-out]", "held-out"),
        ("model.pairs=[emojis]", "model.pairs"),
        ("jobs=0", "jobs"),
        ("seeds=[]", "seeds"),
        ("claim.goals=[{figure: fame}]", "figure"),
    ],
)
def test_a_name_that_is_not_there_is_told(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("[", r"\[")):
        load_experiment(RECIPE, [], [override])


def test_layers_replace_values_and_merge_mappings() -> None:
    assert laid_over({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}, "e": 3}) == {"a": {"b": 1, "c": [2]}, "d": 2, "e": 3}


def test_a_stage_that_is_trained_once_has_the_first_seed() -> None:
    experiment = load_experiment(RECIPE, [], ["seeds=[4, 5]", "stages.baseline.once=true"])
    assert experiment.seeds_of("baseline") == (4,)
    assert experiment.seeds_of("model") == (4,)
    assert experiment.seeds_of("coherent") == (4, 5)
