"""Costs add up, halving makes them less, and a budget holds what a sweep needs or is told to be too small."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ConfigError
from pipelines.sweep.cost import Pace, Price, within_budget
from pipelines.sweep.design import Trial
from pipelines.sweep.settings import HalvingSettings
from pipelines.sweep.space import Point

PACE = Pace(2.0, 100.0, 0.5, 10.0, 1.0, 1.0, 20, 3.0)
PLAIN = Price(PACE, 100, 50, None)
TRIALS = [Trial(f"{at:012x}", "", (), 0, Point({}, {}), "") for at in range(12)]


def test_a_trial_is_mixed_trained_validated_and_asked() -> None:
    assert PLAIN.seconds(1, 0) == 1 + (100 + 2 * 3) * 2 + 10 + 10 + 20 * 0.5
    assert PLAIN.seconds(7, 3) == 7 * PLAIN.seconds(1, 0)
    assert PLAIN.tokens(7, 3) == 7 * 100 * 100


def test_halving_sends_a_part_on_and_all_of_the_priors_runs() -> None:
    halved = replace(PLAIN, halving=HalvingSettings(rungs=(20, 60), eta=3))
    assert halved.stages(12, 3) == [(12, 20), (6, 40), (4, 40)]
    assert halved.tokens(12, 3) == (12 * 20 + 6 * 40 + 4 * 40) * 100


@given(st.integers(3, 12), st.floats(1.01, 9), st.integers(0, 3))
def test_halving_never_takes_longer_in_tokens(trials: int, eta: float, protected: int) -> None:
    halved = replace(PLAIN, halving=HalvingSettings(rungs=(10, 50), eta=eta))
    assert halved.tokens(trials, protected) <= PLAIN.tokens(trials, protected)


@given(st.floats(6 * 1000, 20000))
def test_a_budget_of_tokens_is_kept_and_used(tokens: float) -> None:
    price = replace(PLAIN, pace=replace(PACE, step_tokens=10.0))
    kept = within_budget(f"{tokens:.0f} tokens", price, TRIALS, 5, 3)
    assert price.tokens(kept, 3) <= round(tokens)
    assert kept == 12 or price.tokens(kept + 1, 3) > round(tokens)


def test_a_budget_that_does_not_hold_the_needed_trials_is_told() -> None:
    with pytest.raises(ConfigError, match=r"does not hold the 5 trials .* take about 20 min"):
        within_budget("10m", PLAIN, TRIALS, 5, 3)
    assert within_budget("", PLAIN, TRIALS, 5, 3) == 12
