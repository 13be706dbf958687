"""Simplices from a mix file and its data: priors, natural shares, bounds that the data narrow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from curate.errors import ConfigError
from curate.mixture.catalogue import scan
from curate.mixture.settings import load_spec
from curate.mixture.sources import open_source
from curate.mixture.stock import assemble
from curate.mixture.tokens import Estimate
from curate.settings import build
from curate.storage import Folder
from pipelines.sweep.settings import SweepSpec
from pipelines.sweep.space import Point, Simplex
from pipelines.sweep.stock import Held, repeats_of, space_of
from tests.mixture.small_runs import varied_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., bytes]) -> Path:
    """36 episodes, 12, and 12 to replay; a third each of three formats."""
    root = tmp_path_factory.mktemp("runs")
    for name, number in (("web", 36), ("art", 12), ("old", 12)):
        varied_run(root / name, picture, number)
    return root


MIX: dict[str, Any] = {
    "size": 24,
    "sources": [{"name": "web", "run": "web"}, {"name": "art", "run": "art"}, {"name": "old", "run": "old", "replay": True}],
    "replay": 0.25,
}


def held(runs: Path, mixes: dict[str, Any], **more: Any) -> tuple[SweepSpec, Held]:
    (runs / "mix.yaml").write_text(yaml.safe_dump({**MIX, **more}))
    mix = load_spec(runs / "mix.yaml")
    sources = [open_source(one, mix, str(runs / one.run)) for one in mix.sources]
    stock = assemble(sources, scan(sources, Estimate(), Folder.of(runs / "catalogue")))
    spec = build(SweepSpec, {"mix": "m", "train": "t", "mixes": mixes})
    return spec, Held(mix, sources, stock, tuple(mixes))


def simplex(runs: Path, axis: str, told: dict[str, Any] | None = None, **more: Any) -> tuple[Simplex, list[str]]:
    space, notes = space_of(*held(runs, {axis: told or {}}, **more))
    return space.simplices[0], notes


def test_sources_are_weighed_beside_the_replay(runs: Path) -> None:
    one, _ = simplex(runs, "source")
    assert dict(zip(one.components, one.natural, strict=True)) == {"web": 0.75, "art": 0.25}
    assert dict(zip(one.components, one.prior, strict=True)) == pytest.approx({"web": 0.75, "art": 0.25})


def test_weights_are_the_prior(runs: Path) -> None:
    sources = [{**MIX["sources"][0], "weight": 2}, {**MIX["sources"][1], "weight": 3}, MIX["sources"][2]]
    one, _ = simplex(runs, "source", sources=sources)
    assert dict(zip(one.components, one.prior, strict=True)) == pytest.approx({"web": 0.4, "art": 0.6})


def test_a_source_cannot_have_more_than_its_samples_give(runs: Path) -> None:
    one, notes = simplex(runs, "source")
    high = dict(zip(one.components, one.high, strict=True))
    assert high == pytest.approx({"web": 1.0, "art": 12 / 18})  # 12 samples once, of the 18 that are no replay
    assert notes == ["source=art: at most 66.7%, or its samples would repeat more often than max_repeats allows"]
    assert simplex(runs, "source", max_repeats=2)[0].high == (1.0, 1.0)


def test_the_replay_is_a_simplex_of_two(runs: Path) -> None:
    one, _ = simplex(runs, "replay", {"high": {True: 0.4}})
    assert dict(zip(one.components, one.prior, strict=True)) == {"yes": 0.25, "no": 0.75}
    assert dict(zip(one.components, one.high, strict=True)) == {"yes": 0.4, "no": 1.0}


def test_a_quota_is_a_prior_inside_its_part(runs: Path) -> None:
    quota = {"axis": "format", "within": {"replay": False}, "shares": {"caption": 1, "open_qa": 3}}
    one, _ = simplex(runs, "format", quotas=[quota])
    assert dict(zip(one.components, one.prior, strict=True)) == {"caption": 0.25, "open_qa": 0.75}
    assert one.natural == pytest.approx((0.5, 0.5))


def test_an_axis_that_nobody_asked_for_is_as_the_data_are(runs: Path) -> None:
    one, _ = simplex(runs, "shots", {"prior": "uniform"})
    assert one.components == ("0", "1", "2", "4")
    assert one.prior == pytest.approx((0.25,) * 4)


def test_a_prior_beyond_the_bounds_gives_way_and_says_so(runs: Path) -> None:
    one, notes = simplex(runs, "source", {"high": {"web": 0.5}})
    assert dict(zip(one.components, one.prior, strict=True)) == pytest.approx({"web": 0.5, "art": 0.5})
    assert any("the nearest mix takes its place" in note for note in notes)


@pytest.mark.parametrize(
    ("axis", "told", "more", "said"),
    [
        ("source", {"prior": {"web": 1, "arts": 1}}, {}, "did you mean 'art'"),
        ("source", {"low": {"wbe": 0.1}}, {}, "did you mean 'web'"),
        ("source", {"low": 0.6}, {}, "sum to more than 1"),
        ("source", {"high": 0.4}, {}, "no mix fills the plan"),
        ("source", {"low": {"art": 0.9}}, {}, "the data hold no more than 66.7%"),
        ("source", {"prior": {"web": 1}}, {}, "one component"),
        ("source", {}, {"quotas": [{"axis": "source", "shares": "uniform"}]}, "stands above the weights"),
        (
            "format", {},
            {"quotas": [{"axis": "format", "within": {"replay": r}, "shares": "uniform"} for r in (True, False)]},
            "2 quotas",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_swept_is_told(runs: Path, axis: str, told: dict[str, Any], more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        simplex(runs, axis, told, **more)


def test_repeats_follow_from_shares_and_size(runs: Path) -> None:
    _, there = held(runs, {"source": {}})
    found = repeats_of(there, Point({"source": {"web": 0.5, "art": 0.5}}, {}))
    assert found == pytest.approx({"web": 9 / 36, "art": 9 / 12, "old": 6 / 12})
