"""Held-back concepts: the same ones in every source, and none on both sides."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.demonstrations.holdout import HoldoutSettings


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.integers(0, 3))
def test_the_name_alone_decides(concepts: list[str], seed: int) -> None:
    rest, held = (HoldoutSettings(seed=seed, take=take) for take in ("rest", "held"))
    part = rest.part_of(concepts)
    assert part == held.part_of(concepts) == rest.part_of([f" {concepts[0].strip()}  ", "something else"])


def test_about_the_asked_share_is_held_back_and_seeds_differ() -> None:
    names = [f"thing {number}" for number in range(4000)]
    sides = [[HoldoutSettings(share=0.2, seed=seed).part_of([name]) == "held" for name in names] for seed in (0, 1)]
    assert all(0.17 < sum(side) / len(side) < 0.23 for side in sides)
    assert sides[0] != sides[1]


def test_the_broadest_concept_keeps_siblings_together() -> None:
    split = HoldoutSettings(share=0.5, level="outermost")
    assert len({split.part_of([f"breed {number}", "dog"]) for number in range(50)}) == 1


def test_what_is_held_back_has_two_halves_that_share_no_concept() -> None:
    names = [f"thing {number}" for number in range(400)]
    held = [name for name in names if HoldoutSettings(take="held").takes([name])]
    first, second = (HoldoutSettings(take="held", half=half) for half in ("first", "second"))
    assert [first.takes([name]) + second.takes([name]) for name in names] == [name in held for name in names]
    assert 0.3 < sum(map(first.takes, ([name] for name in held))) / len(held) < 0.7
    with pytest.raises(ValueError, match="take: held"):
        HoldoutSettings(take="rest", half="first")


def test_a_record_without_concepts_is_not_held_back() -> None:
    assert HoldoutSettings(share=0.99).part_of([]) == "rest"


def test_both_sides_of_an_import_make_the_whole(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    source = lay({f"class {n % 12}/{n}.png": picture(n) for n in range(36)})
    _, whole = imported("classes", source, out="whole")
    split = {"share": 0.4, "seed": 3}
    rested, rest = imported("classes", source, out="rest", holdout={**split, "take": "rest"})
    kept, held = imported("classes", source, out="held", holdout={**split, "take": "held"})
    assert sorted(d.id for d in (*rest, *held)) == sorted(d.id for d in whole)
    assert rest
    assert held
    assert not {d.answer for d in rest} & {d.answer for d in held}
    assert rested.dropped == {"held_out": len(held)}
    assert kept.dropped == {"not_held_out": len(rest)}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_split_has_two_sides(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        HoldoutSettings(share=share)
