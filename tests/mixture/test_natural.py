import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from curate.mixture.natural import fit, miss, spread
from curate.mixture.problem import problem_of
from curate.mixture.quotas import Demand
from tests.mixture.small_cells import FORMATS, SHOTS, cells_of, grids

ROWS, COLUMNS = {"caption": 0.5, "open_qa": 0.3, "multiple_choice": 0.2}, {"0": 0.2, "1": 0.5, "2": 0.3}
DEMANDS = [Demand("format", (), ROWS), Demand("shots", (), COLUMNS)]


def divergence(units, natural):
    there = units > 0
    return float((units[there] * np.log(units[there] / natural[there])).sum() - units.sum() + natural.sum())


@given(st.lists(st.integers(5, 200), min_size=9, max_size=9), st.floats(0.05, 0.9), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_other_mix_with_the_same_shares_is_nearer_to_the_natural_one(numbers, part, seed):
    keys = [(f, s) for f in FORMATS for s in SHOTS]
    cells = cells_of(("format", "shots"), [(*key, n) for key, n in zip(keys, numbers, strict=True)])
    problem = problem_of(cells, DEMANDS)
    size = part * sum(numbers)
    found = fit(problem, size, [p.wanted for p in problem.parts])
    assume(found.miss < 1e-4)  # else the caps do not allow the shares
    natural = problem.natural * size / problem.natural.sum()
    table = {(int(problem.parts[0].codes[k]), int(problem.parts[1].codes[k])): k for k in range(9)}
    rng = np.random.default_rng(seed)
    for _ in range(20):
        (a, b), (c, d) = (rng.choice(3, 2, replace=False) for _ in range(2))
        ring = [table[a, c], table[b, d], table[a, d], table[b, c]]
        other = found.units.copy()
        other[ring] += np.array([1, 1, -1, -1]) * rng.random() * 0.1 * size / 9
        if (other >= 0).all() and (other <= problem.highest).all():
            assert divergence(other, natural) >= divergence(found.units, natural) - 1e-3 * size * 0.05


@given(grids())
@settings(max_examples=40, deadline=None)
def test_caps_are_never_passed_whatever_is_wanted(cells):
    problem = problem_of(cells, DEMANDS)
    size = 0.7 * problem.highest.sum()
    found = fit(problem, size, [p.wanted for p in problem.parts])
    assert (found.units <= problem.highest + 1e-9).all()
    held = spread(problem, found.units)
    assert (held <= cells.highest * cells.units + 1e-9).all()
    assert problem.by_class(held) == pytest.approx(found.units, abs=1e-6)


def test_what_is_not_asked_about_keeps_its_natural_spread():
    cells = cells_of(
        ("format", "source"), [("caption", "a", 30), ("caption", "b", 90), ("open_qa", "a", 400), ("open_qa", "b", 100)]
    )
    problem = problem_of(cells, [Demand("format", (), {"caption": 0.5, "open_qa": 0.5})])
    held = spread(problem, fit(problem, 100, [p.wanted for p in problem.parts]).units)
    by = {
        (cells.values["format"][f], cells.values["source"][s]): n for f, s, n in zip(*cells.axes.values(), held, strict=True)
    }
    assert by == pytest.approx(
        {("caption", "a"): 12.5, ("caption", "b"): 37.5, ("open_qa", "a"): 40, ("open_qa", "b"): 10}, abs=0.01
    )


def test_a_miss_inside_a_small_part_counts_as_much_as_in_the_whole():
    cells = cells_of(("format", "shots"), [("caption", 0, 5), ("caption", 1, 5), ("open_qa", 0, 990)])
    problem = problem_of(cells, [Demand("shots", (("format", "caption"),), {"0": 0.9, "1": 0.1})])
    wanted = [part.wanted for part in problem.parts]
    assert miss(problem, problem.natural, 1000, wanted) == pytest.approx(0.4)
    assert fit(problem, 500, wanted).miss < 1e-4
