import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sweep.candidates import best, clip, neighbours, sample
from pipelines.sweep.limits import Limits
from pipelines.sweep.space import Choice, Floats, Simplex, Space


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    m = draw(st.integers(2, 6))
    weights = np.array(draw(st.lists(st.floats(0.05, 1), min_size=m, max_size=m)))
    prior = weights / weights.sum()
    tight = draw(st.floats(0, 1))
    low, high = prior * tight, prior + (1 - prior) * (1 - tight)
    one = Simplex("source", tuple("abcdef"[:m]), tuple(prior), (1 / m,) * m, tuple(low), tuple(high))
    return Space((one,), draw(st.sampled_from([(), (Choice("order", ("x", "y", "z")),)])))


@settings(max_examples=40)
@given(spaces(), st.integers(0, 3))
def test_every_mix_looked_at_or_moved_to_is_allowed(space: Space, seed: int) -> None:
    rows = sample(space, 120, seed, "test")
    assert len(rows) == 120
    assert space.allows(rows).all()
    assert space.allows(neighbours(space, rows[0], np.array([0.1, 0.01]))).all()


@settings(max_examples=40)
@given(spaces(), st.floats(0.05, 1))
def test_what_is_best_is_allowed_and_not_farther_from_the_prior_than_said(space: Space, within: float) -> None:
    limits = Limits(space, within)

    def score(rows: Floats) -> Floats:
        return rows[:, 0] - limits.penalties(rows)

    row = best(limits.bounded(), score, np.concatenate([space.row(space.prior)[None], limits.keep(sample(space, 60, 0, "x"))]))
    assert space.allows(row[None]).all()
    assert limits.distances(row[None])[0] <= within + 1e-8


@given(st.lists(st.floats(-1, 2), min_size=3, max_size=3))
def test_clipped_shares_are_within_their_bounds(wanted: list[float]) -> None:
    one = Simplex("source", ("a", "b", "c"), (0.3, 0.3, 0.4), (0.3, 0.3, 0.4), (0.1, 0.0, 0.2), (0.6, 0.5, 0.9))
    assert Space((one,)).allows(clip(one, np.array([wanted]))).all()


def test_the_top_of_a_hill_is_found() -> None:
    top = np.array([0.15, 0.25, 0.05, 0.55])
    space = Space((Simplex("source", tuple("abcd"), (0.25,) * 4, (0.25,) * 4, (0.0,) * 4, (1.0,) * 4),))
    found = best(space, lambda rows: -((rows - top) ** 2).sum(axis=1), sample(space, 200, 0, "x"))
    assert np.allclose(found, top, atol=0.003)


def test_a_penalty_pulls_towards_the_prior() -> None:
    space = Space((Simplex("source", tuple("ab"), (0.7, 0.3), (0.5, 0.5), (0.0,) * 2, (1.0,) * 2),))

    def shares(penalty: float) -> float:
        limits = Limits(space, penalty=penalty)
        return float(best(space, lambda rows: rows[:, 1] - limits.penalties(rows), sample(space, 100, 0, "x"))[1])

    assert shares(0) == 1
    assert 0.3 < shares(2) < shares(1) < 1
    assert np.isclose(Limits(space, penalty=1).divergence(np.array([[0.7, 0.3]]))[0], 0)
