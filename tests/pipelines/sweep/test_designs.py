"""Designs: every mix is allowed, none stands twice, and all follow from the seed alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ConfigError
from pipelines.sweep.designs.base import DESIGNS, Kind
from pipelines.sweep.designs.geometry import allowed, nearest
from pipelines.sweep.designs.making import ALWAYS, Row, rows_of
from pipelines.sweep.designs.reading import kind_of
from pipelines.sweep.space import Choice, Simplex, Space

KINDS = ("grid", "lattice", "centroid", "dirichlet", "leave-one-out", "one-at-a-time")
CHOICES = (Choice("order", ("curriculum", "flat")), Choice("shots", ("few", "some", "many")))


def plain(parts: int, low: float = 0.0, high: float = 1.0, axis: str = "source") -> Simplex:
    even = tuple(1 / parts for _ in range(parts))
    return Simplex(axis, tuple("abcdefgh"[:parts]), even, even, (low,) * parts, (high,) * parts)


@st.composite
def simplices(draw: st.DrawFn, axis: str = "source") -> Simplex:
    """A simplex with bounds that leave room, its prior within them."""
    parts = draw(st.integers(2, 5))
    some = st.lists(st.floats(0.01, 1), min_size=parts, max_size=parts)
    inside, natural = (np.array(draw(some)) for _ in range(2))
    inside, natural = inside / inside.sum(), natural / natural.sum()
    low = inside * draw(st.floats(0, 0.8))
    high = inside + (1 - inside) * draw(st.floats(0.3, 1))
    names = tuple("abcde"[:parts])
    return Simplex(axis, names, tuple(inside), tuple(natural), tuple(low), tuple(high))


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    first = draw(simplices())
    more = (draw(simplices("format")),) if draw(st.booleans()) else ()
    return Space((first, *more), CHOICES[: draw(st.integers(0, 2))])


def kinds(names: tuple[str, ...] = KINDS, **more: object) -> tuple[Kind, ...]:
    return tuple(kind_of({"kind": name, **(more if name == "dirichlet" else {})}) for name in names)


def made(space: Space, names: tuple[str, ...] = KINDS, seed: int = 0, runs: int | None = None) -> list[Row] | None:
    """The rows; None where bounds leave no point of a grid or lattice, or hardly any draw within them."""
    try:
        return rows_of(space, kinds(names, runs=6, strength=4.0), seed, runs)
    except ConfigError:
        return None


@settings(max_examples=60)
@given(spaces(), st.integers(0, 3))
def test_every_mix_is_allowed_and_none_stands_twice(space: Space, seed: int) -> None:
    for names in (("leave-one-out", "one-at-a-time"), ("centroid",), ("lattice", "dirichlet"), ("grid",)):
        found = made(space, names, seed)
        if found is None:
            continue
        rows = np.array([row.row for row in found])
        assert space.allows(rows).all()
        assert len(np.unique(np.round(rows, 8), axis=0)) == len(rows)
        assert {kind for row in found for kind in row.kinds} >= set(ALWAYS)
        assert all(np.array_equal(space.row(space.point(row.row)), row.row) for row in found)


@settings(max_examples=20)
@given(spaces(), st.integers(0, 3))
def test_designs_follow_from_their_seed(space: Space, seed: int) -> None:
    one, other = made(space, seed=seed), made(space, seed=seed)
    assert (one is None) == (other is None)
    for mine, theirs in zip(one or [], other or [], strict=True):
        assert mine.kinds == theirs.kinds
        assert mine.row.tobytes() == theirs.row.tobytes()


@given(simplices(), st.lists(st.floats(-1, 2), min_size=5, max_size=5))
def test_the_nearest_mix_is_allowed_and_near(simplex: Simplex, values: list[float]) -> None:
    point = np.array(values[: len(simplex.prior)])
    found = nearest(simplex, point)
    assert len(allowed(simplex, found[None]))
    assert abs(found.sum() - 1) < 1e-9
    for share in np.linspace(0, 1, 5):  # no mix towards the prior is nearer
        other = found + share * (np.array(simplex.prior) - found)
        assert np.linalg.norm(point - found) <= np.linalg.norm(point - other) + 1e-6


def counted(name: str, space: Space, **more: object) -> int:
    return sum(name in row.kinds for row in rows_of(space, [kind_of({"kind": name, **more})], 0))


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("lattice", {"degree": 3}, 10),  # C(3 + 3 - 1, 3)
        ("centroid", {}, 7),  # 2^3 - 1
        ("centroid", {"most": 1}, 4),
        ("grid", {"parts": 4}, 15),
        ("leave-one-out", {}, 3),
        ("one-at-a-time", {"shares": 3}, 9),
        ("dirichlet", {"runs": 11}, 11),
    ],
)
def test_designs_have_the_points_of_their_textbook(name: str, more: dict[str, object], expected: int) -> None:
    assert counted(name, Space((plain(3),)), **more) == expected


def test_a_grid_is_the_product_of_all_that_varies() -> None:
    space = Space((plain(2), plain(3, axis="format")), CHOICES)
    assert counted("grid", space, parts=2) == 3 * 6 * 2 * 3


def test_one_at_a_time_varies_choices_alone_too() -> None:
    space = Space((plain(2),), CHOICES)
    rows = rows_of(space, kinds(("one-at-a-time",)), 0)
    levels = [(dict(space.point(row.row).choices)) for row in rows if "one-at-a-time" in row.kinds]
    assert {tuple(level.values()) for level in levels} == {
        ("curriculum", "few"), ("flat", "few"), ("curriculum", "some"), ("curriculum", "many"),
    }  # fmt: skip


def test_levels_of_a_choice_are_balanced() -> None:
    space = Space((plain(3),), CHOICES)
    rows = [row.row for row in rows_of(space, kinds(("dirichlet",), runs=12), 0) if row.kinds == ("dirichlet",)]
    taken = np.array(rows)[:, 3:].sum(axis=0)
    assert taken.tolist() == [6, 6, 4, 4, 4]


def test_a_mix_of_several_kinds_is_one_row() -> None:
    first = rows_of(Space((plain(2),)), kinds(("centroid", "lattice")), 0)[0]
    assert set(first.kinds) == {"prior", "natural", "uniform", "centroid", "lattice"}


def test_runs_limit_all_and_draws_fill_what_is_left() -> None:
    space = Space((plain(3),))
    assert len(rows_of(space, kinds(("centroid", "dirichlet")), 0, 20)) == 20
    assert len(rows_of(space, kinds(("centroid",)), 0, 4)) == 4
    assert len(rows_of(space, kinds(("dirichlet",)), 0)) == 16  # four for each of three shares, and four


def test_draws_do_not_depend_on_how_many_there_are() -> None:
    drawn = [kind_of({"kind": "dirichlet"}).points(plain(4), 3, count) for count in (2, 9)]
    assert np.array_equal(drawn[0], drawn[1][:2])


def test_strength_draws_mixes_towards_the_prior() -> None:
    spread = [kind_of({"kind": "dirichlet", "strength": s}).points(plain(4), 0, 40).std() for s in (0.3, 3, 30)]
    assert spread[0] > spread[1] > spread[2]


def test_temperature_evens_the_prior_out() -> None:
    uneven = Simplex("source", ("a", "b"), (0.9, 0.1), (0.9, 0.1), (0.0, 0.0), (1.0, 1.0))
    means = [
        kind_of({"kind": "dirichlet", "temperature": t, "strength": 20.0}).points(uneven, 0, 60)[:, 0].mean() for t in (1, 9)
    ]
    assert means[0] > 0.85
    assert means[1] < 0.65


def test_hopeless_bounds_are_told() -> None:
    narrow = plain(5, 0.1999, 0.2001)
    with pytest.raises(ConfigError, match="widen low and high"):
        kind_of({"kind": "dirichlet", "strength": 0.1}).points(narrow, 0, 1)


def test_a_lattice_that_is_too_large_is_told() -> None:
    with pytest.raises(ConfigError, match="too many"):
        kind_of({"kind": "lattice", "degree": 60}).points(plain(6), 0, 1)


def test_the_registry_has_all_kinds_and_names_the_nearest() -> None:
    assert set(DESIGNS) == set(KINDS)
    with pytest.raises(ConfigError, match="did you mean 'lattice'"):
        kind_of({"kind": "latice"})
    with pytest.raises(ConfigError, match="did you mean 'degree'"):
        kind_of({"kind": "lattice", "degre": 2})
