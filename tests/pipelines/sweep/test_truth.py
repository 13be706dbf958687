"""The truth test in short; benchmarks/bench_sweep.py has the whole of it, over other surfaces and seeds."""

import numpy as np
import pytest

from pipelines.sweep.candidates import sample
from pipelines.sweep.fitting import Fit, FitSettings, fit_sweep
from pipelines.sweep.significance import p_values
from pipelines.sweep.surfaces import Surface, observe, observe_in_rounds, surface
from pipelines.sweep.tasks import task_of

QUICK = FitSettings(outer=0, shuffles=199)


def fitted(truth: Surface, m: int, seed: int, noise: float) -> Fit:
    return fit_sweep(observe(truth, 4 * (m + 1), noise, seed), truth.weights, QUICK, targets=False)


@pytest.mark.parametrize("m", [3, 6])
def test_the_proposal_is_near_the_optimum_of_a_data_mixing_law(m: int) -> None:
    for seed in range(3):
        truth = surface("losses", m, seed, "quick")
        top, proposed, base = truth.value(
            np.stack([truth.optimum(), fitted(truth, m, seed, 0.1).proposal.row, truth.space.row(truth.space.prior)])
        )
        assert top - proposed <= 0.02 * abs(top)
        assert proposed >= base - 0.05 * (top - base)


def test_the_proposal_is_near_the_top_of_a_hill() -> None:
    truth = surface("quadratic", 3, 1, "quick")
    found = fitted(truth, 3, 1, 0.1)
    top, proposed = truth.value(np.stack([truth.optimum(), found.proposal.row]))
    assert top - proposed <= 0.02 * top
    assert found.proposal.is_significant


def test_rounds_lose_less_of_the_way_than_one_design() -> None:
    lost = np.zeros(3)
    for seed in range(4):
        truth = surface("saturating", 5, seed, "quick")
        rounds = fit_sweep(observe_in_rounds(truth, 24, 0.25, seed, 2, QUICK), truth.weights, QUICK, targets=False)
        rows = [
            truth.optimum(),
            fitted(truth, 5, seed, 0.25).proposal.row,
            rounds.proposal.row,
            truth.space.row(truth.space.prior),
        ]
        values = truth.value(np.stack(rows))
        assert len(rounds.seen) == 24
        lost += values[0] - values[1:]
    once, in_rounds, prior = lost
    assert in_rounds < once < prior


def test_a_flat_surface_gives_no_significant_difference() -> None:
    for m in (3, 5):
        for seed in range(3):
            truth = surface("flat", m, seed, "quick")
            assert not fitted(truth, m, seed, 0.02).proposal.is_significant


def test_p_values_of_flat_surfaces_are_no_smaller_than_they_say() -> None:
    found = []
    for seed in range(60):
        truth = surface("flat", 3 + seed % 3, seed, "null")
        known = task_of(observe(truth, 16, 0.02, seed), truth.weights)
        base = truth.space.row(truth.space.prior)[None]
        found += p_values(known, sample(truth.space, 60, seed, "null"), base, seed, "null", 99)
    assert np.mean(np.array(found) <= 0.05) <= 0.12  # of 60 at 5 %: more than 7 in 1 of 100 draws
    assert 0.3 < np.median(found) < 0.7


def test_equal_seeds_give_equal_fits() -> None:
    truth = surface("power", 3, 0, "quick")
    one, other = fitted(truth, 3, 0, 0.2).proposal, fitted(truth, 3, 0, 0.2).proposal
    assert np.array_equal(one.row, other.row)
    assert [gain.low for gain in one.gains] == [gain.low for gain in other.gains]
    assert [gain.p for gain in one.gains] == [gain.p for gain in other.gains]
