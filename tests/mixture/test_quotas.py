import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ConfigError
from curate.mixture.quotas import Demand, Quota, asked_axes, demands, normalised, tempered
from curate.settings import build
from tests.mixture.small_cells import cells_of

CELLS = cells_of(
    ("source", "format", "shots", "replay"),
    [
        ("web", "caption", 0, "no", 60),
        ("web", "open_qa", 2, "no", 30),
        ("emoji", "open_qa", 0, "no", 10),
        ("llava", "open_qa", 0, "yes", 40),
    ],
)


def quota(text: str) -> Quota:
    return build(Quota, yaml.safe_load(text))


def asked(*texts: str, **more) -> dict[tuple, dict[str, float]]:
    return {(d.axis, d.within): d.shares for d in demands(CELLS, [quota(text) for text in texts], **more)}


def test_yaml_numbers_and_bare_yes_are_names_of_values():
    assert asked("{axis: shots, shares: {0: 1, 2: 3}}")["shots", ()] == {"0": 0.25, "2": 0.75}
    assert asked("{axis: replay, shares: {yes: 1, no: 3}}")["replay", ()] == {"yes": 0.25, "no": 0.75}
    assert ("shots", (("replay", "no"),)) in asked("{axis: shots, within: {replay: no}, shares: {0: 1}}")


def test_a_nested_quota_is_one_within_its_value():
    nested = asked("{axis: source, shares: {web: {share: 3, then: [{axis: shots, shares: {0: 1, 2: 1}}]}, emoji: 1}}")
    flat = asked("{axis: source, shares: {web: 3, emoji: 1}}", "{axis: shots, within: {source: web}, shares: {0: 1, 2: 1}}")
    assert nested == flat


def test_uniform_is_over_the_values_that_occur_in_the_part():
    assert asked("{axis: format, shares: uniform}")["format", ()] == {"caption": 0.5, "open_qa": 0.5}
    within = asked("{axis: format, within: {source: emoji}, shares: uniform}")
    assert within["format", (("source", "emoji"),)] == {"open_qa": 1.0}


def test_natural_is_as_the_data_are_and_tempered_when_asked():
    assert asked("{axis: shots, shares: natural}")["shots", ()] == pytest.approx({"0": 110 / 140, "2": 30 / 140})
    square = asked("{axis: shots, shares: natural, temperature: 2}")["shots", ()]
    assert square["0"] / square["2"] == pytest.approx((110 / 30) ** 0.5)
    assert asked("{axis: shots, shares: natural}", temperature=2)["shots", ()] == square


@given(st.dictionaries(st.text(), st.floats(1e-3, 1e6), min_size=2), st.floats(1, 10))
def test_a_temperature_above_one_flattens_and_keeps_the_ranks(available, temperature):
    natural, flat = tempered(available, 1), tempered(available, temperature)
    assert sum(flat.values()) == pytest.approx(1)
    assert max(flat.values()) <= max(natural.values()) + 1e-9
    assert min(flat.values()) >= min(natural.values()) - 1e-9
    for a in available:
        for b in available:
            assert available[a] < available[b] or flat[a] >= flat[b] - 1e-12


def test_source_weights_are_shares_of_the_plan_or_of_what_is_not_replay():
    weights = {"web": 3.0, "emoji": 1.0, "llava": 4.0}
    assert asked(weights=weights)["source", ()] == {"web": 0.375, "emoji": 0.125, "llava": 0.5}
    apart = asked(weights=weights, replay=0.2)
    assert apart["source", (("replay", "no"),)] == {"web": 0.75, "emoji": 0.25}
    assert apart["replay", ()] == {"yes": 0.2, "no": 0.8}
    assert ("replay", ()) not in asked(weights=weights, replay="full")


def test_a_source_without_weight_keeps_its_natural_share():
    shares = asked(weights={"web": 3.0, "emoji": 1.0, "llava": None})["source", ()]
    assert shares["llava"] == pytest.approx(40 / 140)
    assert shares["web"] == pytest.approx(3 * shares["emoji"])
    assert asked(weights={"web": None, "emoji": None, "llava": None}) == {}


def test_sources_without_any_weight_are_tempered():
    shares = asked(weights={"web": None, "emoji": None, "llava": None}, temperature=2)["source", ()]
    assert shares["web"] / shares["emoji"] == pytest.approx(3)


def test_a_full_replay_is_not_tempered():
    cells = cells_of(("source", "replay"), [("web", "no", 100), ("llava", "yes", 90), ("vqa", "yes", 10)], full_replay=True)
    weights = dict.fromkeys(("web", "llava", "vqa"))
    assert demands(cells, weights=weights, replay="full", temperature=2) == []
    (share,) = (d.shares for d in demands(cells, weights=weights, replay=0.2, temperature=2) if d.axis == "source")
    assert share["llava"] / share["vqa"] == pytest.approx(3)


def test_a_quota_on_sources_stands_above_their_weights():
    assert asked("{axis: source, shares: {web: 1, emoji: 1}}", weights={"web": 9.0, "emoji": 1.0})["source", ()]["web"] == 0.5


def test_what_a_schedule_needs_is_a_demand_and_must_not_differ_from_the_replay_share():
    assert demands(CELLS, scheduled={"replay": {"yes": 0.3, "no": 0.7}}, replay=0.3) == [
        Demand("replay", (), {"yes": 0.3, "no": 0.7})
    ]
    with pytest.raises(ConfigError, match=r"20\.0%.*30\.0%"):
        demands(CELLS, scheduled={"replay": {"yes": 0.3, "no": 0.7}}, replay=0.2)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["{axis: fromat, shares: uniform}"], "did you mean 'format'"),
        (["{axis: format, within: {shot: 0}, shares: uniform}"], "did you mean 'shots'"),
        (["{axis: format, within: {source: webb}, shares: uniform}"], "did you mean 'web'"),
        (["{axis: format, shares: {caption: 0}}"], "not all 0"),
        (["{axis: format, shares: {}}"], "not all 0"),
        (["{axis: format, shares: uniform}", "{axis: format, shares: natural}"], "asked for twice"),
        (["{axis: format, shares: unifrom}"], "shares"),
        (["{axis: format, shares: {caption: -1}}"], "greater than or equal to 0"),
        (["{axis: format, shares: natural, temperature: 0}"], "greater than 0"),
    ],
)
def test_what_cannot_be_meant_is_an_error_that_says_so(texts, message):
    with pytest.raises(ConfigError, match=message):
        asked(*texts)


def test_asked_axes_include_nested_ones_in_the_order_of_the_house():
    nested = quota("{axis: source, within: {replay: no}, shares: {web: {share: 1, then: [{axis: shots, shares: uniform}]}}}")
    assert asked_axes([nested], ["concept"]) == ["source", "concept", "shots", "replay"]
    with pytest.raises(ConfigError, match="did you mean 'hardness'"):
        asked_axes([], ["hardnes"])


def test_weights_that_overflow_or_vanish_are_refused():
    with pytest.raises(ConfigError):
        normalised("format", {"a": 1e308, "b": 1e308})
