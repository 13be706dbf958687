import pytest

from curate.errors import ConfigError
from curate.mixture.preset import load_preset, preset_names, with_preset
from curate.mixture.quotas import Quota, demands
from curate.mixture.solver import solve
from tests.mixture.small_cells import cells_of, row

PRESET = load_preset("icl-tuning")
FORMATS = {"multiple_choice": 0.42, "open_qa": 0.40, "caption": 0.18}
TYPES = {"attribute": 45 / 99, "category": 36 / 99, "relation": 15 / 99, "instance": 3 / 99}


def episodes():
    asking = [(f, t, "no", 900) for f in ("multiple_choice", "open_qa") for t in TYPES]
    return cells_of(
        ("format", "concept_type", "replay"),
        [*asking, ("caption", "caption", "no", 900), ("open_qa", "category", "yes", 500)],
        full_replay=True,
    )


def test_the_preset_says_that_nobody_verified_it():
    assert not PRESET.verified
    assert "second-hand" in PRESET.about
    assert PRESET.replay == "full"
    assert "icl-tuning" in preset_names()


def test_its_shares_hold_among_the_episodes_and_replay_comes_whole_on_top():
    cells = episodes()
    mix = solve(cells, demands(cells, PRESET.quotas, replay=PRESET.replay), 2500)
    assert not [r.reason for r in mix.rows if r.reason]
    assert {r.value: r.requested for r in mix.rows if r.axis == "format"} == pytest.approx(FORMATS)
    assert all(row(mix, "concept_type", t).realised == pytest.approx(share, abs=0.005) for t, share in TYPES.items())
    assert mix.draws[cells.having("replay", "yes")].sum() == 500


def test_the_specs_own_quota_on_an_axis_replaces_the_presets():
    own = [Quota.model_validate({"axis": "concept_type", "shares": "uniform"})]
    merged = with_preset(PRESET.quotas, own)
    assert [q.axis for q in merged] == ["format", "concept_type"]
    assert merged[-1] == own[0]


def test_a_nested_quota_of_a_preset_is_replaced_too():
    inner = {"axis": "shots", "shares": "uniform"}
    preset = [Quota.model_validate({"axis": "format", "shares": {"caption": {"share": 1, "then": [inner]}, "open_qa": 1}})]
    merged = with_preset(preset, [Quota.model_validate({"axis": "shots", "shares": {"0": 1}})])
    assert merged[0].shares["caption"].then == ()
    assert merged[0].shares["open_qa"].share == 1


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'icl-tuning'"):
        load_preset("icl-tunning")
