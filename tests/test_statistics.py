"""Intervals and tests: exact where small, right on known cases, blind to order."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.statistics import bootstrap, by_group, compare, holm, over_seeds, sign_flip

SHARES = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=30)


def names(count: int) -> list[str]:
    return [f"g{at}" for at in range(count)]


def test_a_small_bootstrap_is_that_of_all_resamples() -> None:
    values = [0.0, 1.0, 1.0, 0.25]
    means = sorted(np.mean(pick) for pick in itertools.product(values, repeat=4))
    found = bootstrap(values, names(4), level=0.9)
    assert (found.low, found.high) == (means[round(0.05 * 256) - 1 + 0], means[round(0.95 * 256)])
    assert found.mean == np.mean(values)


def test_a_large_bootstrap_has_the_width_of_the_normal_approximation() -> None:
    values = [1.0] * 300 + [0.0] * 100
    found = bootstrap(values, names(400))
    half = 1.96 * (0.75 * 0.25 / 400) ** 0.5
    assert found.low == pytest.approx(0.75 - half, abs=0.005)
    assert found.high == pytest.approx(0.75 + half, abs=0.005)


def test_items_of_a_group_are_no_new_evidence() -> None:
    values = [1.0] * 30 + [0.0] * 30
    once = bootstrap(values, names(60))
    fourfold = bootstrap([value for value in values for _ in range(4)], [name for name in names(60) for _ in range(4)])
    assert fourfold == once


def test_groups_weigh_by_their_items() -> None:
    assert bootstrap([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"]).mean == 0.75
    assert by_group([1.0, 0.0, 1.0], ["b", "b", "a"]) == {"b": 0.5, "a": 1.0}


@pytest.mark.parametrize("count", [1, 20, 100])
def test_all_right_or_all_wrong_still_has_a_width(count: int) -> None:
    right, wrong = bootstrap([1.0] * count, names(count)), bootstrap([0.0] * count, names(count))
    assert right.high == 1.0
    assert right.low == pytest.approx(0.025 ** (1 / count))
    assert (wrong.low, wrong.high) == (0.0, pytest.approx(1 - right.low))


def test_a_model_that_is_right_in_half_of_every_group_still_has_a_width() -> None:
    found = bootstrap([1.0, 0.0] * 20, [name for name in names(20) for _ in range(2)])
    assert found.mean == 0.5
    assert found.low == pytest.approx(0.5 * 0.025 ** (1 / 20))
    assert found.high == pytest.approx(1 - found.low)


@given(SHARES)
@settings(max_examples=30)
def test_an_interval_holds_its_mean_and_does_not_depend_on_the_order_of_items(values: list[float]) -> None:
    found = bootstrap(values, names(len(values)), draws=500)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found == bootstrap(values, names(len(values)), draws=500)


def test_a_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    dice, hits = np.random.default_rng(1), 0
    for trial in range(300):
        found = bootstrap((dice.random(60) < 0.7).astype(float).tolist(), names(60), draws=600, seed=trial)
        hits += found.low <= 0.7 <= found.high
    assert 0.9 <= hits / 300 <= 0.98


def test_a_sign_flip_of_few_pairs_tries_all() -> None:
    assert sign_flip([1.0, 1.0, 1.0, 1.0, 1.0]) == 2 / 32
    assert sign_flip([1.0, -1.0]) == 1.0
    assert sign_flip([0.0, 0.0]) == 1.0
    assert sign_flip([]) == 1.0


def test_pairs_that_are_equal_say_nothing() -> None:
    assert sign_flip([0.5, 1.0, 0.5, 0.0, 0.0]) == sign_flip([0.5, 1.0, 0.5])


def test_a_sign_flip_is_that_of_scipy() -> None:
    from scipy.stats import permutation_test

    differences = [0.3, -0.1, 0.4, 0.25, -0.2, 0.5, 0.1, 0.05]
    known = permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(differences) == pytest.approx(known.pvalue)


def test_many_pairs_are_drawn_close_to_the_exact_value() -> None:
    from scipy.stats import binomtest

    differences = [1.0] * 40 + [-1.0] * 22
    assert sign_flip(differences, draws=40_000) == pytest.approx(binomtest(40, 62).pvalue, abs=0.004)
    assert sign_flip([1.0] * 500) == pytest.approx(1 / 10_001)


def test_equal_models_are_rarely_called_different() -> None:
    dice = np.random.default_rng(5)
    found = [sign_flip(dice.choice([-1.0, 0.0, 1.0], 40), draws=500, seed=at) for at in range(400)]
    assert np.mean(np.array(found) < 0.05) < 0.08


def test_a_comparison_is_paired() -> None:
    dice = np.random.default_rng(2)
    b = dice.random(200)
    found = compare((b + 0.1).tolist(), b.tolist(), names(200))
    assert found.difference == pytest.approx(0.1)
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert found.p < 0.001
    assert compare(b.tolist(), b.tolist(), names(200)).p == 1.0


@given(SHARES, st.integers(0, 10))
@settings(max_examples=20)
def test_changing_sides_changes_the_sign(values: list[float], seed: int) -> None:
    others = np.random.default_rng(seed).choice([0.0, 0.5, 1.0], len(values)).tolist()
    one, other = (compare(*pair, names(len(values)), draws=300) for pair in ((values, others), (others, values)))
    assert one.difference == pytest.approx(-other.difference)
    assert one.p == other.p


def test_holm_is_the_published_procedure() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_an_interval_over_seeds_is_wider_than_one_run_says() -> None:
    dice = np.random.default_rng(3)
    per_seed = [0.1, 0.2, 0.3]
    tables = [[{name: gain + dice.normal(0, 0.2) for name in names(80)} for gain in per_seed] for _ in range(5)]
    found = over_seeds(tables, draws=4000)
    assert found.mean == pytest.approx(0.2, abs=0.03)
    assert 0.08 < found.low < found.mean < found.high < 0.33
    alike = over_seeds([[dict.fromkeys(names(80), 0.2)] * 3] * 5, draws=500)
    assert (alike.low, alike.high) == (pytest.approx(0.2), pytest.approx(0.2))
    assert found.high - found.low > 0.1


def test_an_interval_of_one_seed_is_the_bootstrap_over_groups() -> None:
    values = dict(zip(names(200), [1.0] * 140 + [0.0] * 60, strict=True))
    found, plain = over_seeds([[values]]), bootstrap(list(values.values()), list(values))
    assert found.mean == plain.mean
    assert (found.low, found.high) == (pytest.approx(plain.low, abs=0.01), pytest.approx(plain.high, abs=0.01))


@pytest.mark.parametrize("tables", [[], [[]], [[{}]], [[{"a": 1.0}, {"b": 1.0}]], [[{"a": 1.0}], [{"a": 1.0}, {"a": 0.0}]]])
def test_runs_that_cannot_be_drawn_together_are_an_error(tables: list[list[dict[str, float]]]) -> None:
    with pytest.raises(InputError):
        over_seeds(tables)


def test_values_without_groups_are_an_error() -> None:
    with pytest.raises(InputError):
        bootstrap([], [])
    with pytest.raises(InputError):
        compare([1.0], [1.0, 0.0], ["a"])
