"""Seconds for a mix and its curriculum by number of cells, and what the nearest-to-natural step buys over the bare LP.

    python benchmarks/bench_mixture.py [--cells 50000]

Synthetic cells: concepts of a long-tailed frequency x 3 formats x 5 shots x 3 sources x 4 concept types. The bare LP is a
mix of least deviation as the solver returns it (a vertex), rounded in the same way.
"""

import argparse
import time
from typing import Any

import numpy as np
from common import say_machine

from curate.mixture.axes import grouped
from curate.mixture.cells import Cells
from curate.mixture.curriculum import Curriculum, arrange
from curate.mixture.least import least_deviation
from curate.mixture.natural import spread
from curate.mixture.problem import problem_of
from curate.mixture.quotas import Quota, demands
from curate.mixture.rounding import rounded
from curate.mixture.solver import solve

FORMATS = {"axis": "format", "shares": {"multiple_choice": 42, "open_qa": 40, "caption": 18}}
SHOTS = {"axis": "shots", "shares": "uniform"}
TEMPERED = {"axis": "concept", "shares": "natural", "temperature": 2}
UNIFORM = {"axis": "concept", "shares": "uniform"}
WEIGHTS: dict[str, float | None] = {"a": 3, "b": 2, "c": 1}


def group(columns: dict[str, Any]) -> Cells:
    """Cells of samples whose values are given as words."""
    coded, samples = {}, len(next(iter(columns.values())))
    for axis, column in columns.items():
        names, codes = np.unique(column, return_inverse=True)
        coded[axis] = codes.astype(np.int64), [str(name) for name in names]
    return grouped(coded, np.ones(samples), np.ones(samples, dtype=np.int64), np.zeros(samples, dtype=bool))[0]


def cells_of(number: int) -> Cells:
    """About `number` cells, from a third more samples."""
    rng = np.random.default_rng(0)
    samples, concepts = int(number * 1.33), max(number // 15, 10)
    tail = 1 / np.arange(1, concepts + 1)
    columns = {
        "concept": np.char.add("c", rng.choice(concepts, samples, p=tail / tail.sum() / 2 + 0.5 / concepts).astype(str)),
        "format": rng.choice(["multiple_choice", "open_qa", "caption"], samples, p=[0.2, 0.3, 0.5]),
        "shots": rng.choice(["0", "1", "2", "4", "8"], samples, p=[0.4, 0.2, 0.2, 0.1, 0.1]),
        "source": rng.choice(["a", "b", "c"], samples),
        "concept_type": rng.choice(["attribute", "category", "relation", "instance"], samples),
    }
    return group(columns)


def timed(what: Any, *args: Any) -> tuple[Any, float]:
    """The result, and the seconds it took."""
    start = time.perf_counter()
    result = what(*args)
    return result, time.perf_counter() - start


def times(cells: Cells) -> None:
    total = int(cells.samples.sum())
    cases: list[tuple[str, list[dict[str, Any]], float | None]] = [
        ("formats, shots", [FORMATS, SHOTS], total // 10),
        ("formats, shots, sources, concepts T=2", [FORMATS, SHOTS, TEMPERED], total // 10),
        ("the same, size max", [FORMATS, SHOTS, TEMPERED], None),
        ("uniform concepts, too large a size", [FORMATS, SHOTS, UNIFORM], total // 2),
    ]
    for name, quotas, size in cases:
        asked = demands(
            cells, [Quota.model_validate(quota) for quota in quotas], weights=WEIGHTS if TEMPERED in quotas else None
        )
        mix, seconds = timed(solve, cells, asked, size)
        worst = max(abs(row.realised - row.requested) * 100 for row in mix.rows)
        off = sum(bool(row.reason) for row in mix.rows)
        print(f"| {len(cells):,} | {name} | {mix.size:,.0f} | {len(mix.rows):,} | {worst:.2f} | {off:,} | {seconds:.2f} |")
    plan = Curriculum.model_validate({"schedules": [{"axis": "shots", "kind": "cosine", "path": [0, 1, 2, 4, 8]}]})
    arranged, seconds = timed(arrange, cells, mix.draws, plan)
    laid = f"{mix.size:,.0f} | {len(arranged.ends)} blocks | {arranged.worst:.2f}"
    print(f"| {len(cells):,} | curriculum of that | {laid} | | {seconds:.2f} |")


def beside_the_bare_program() -> None:
    """How many combinations of format, shots and source are left when only their margins are asked for."""
    rng = np.random.default_rng(0)
    names = {"format": list(FORMATS["shares"]), "shots": ["0", "1", "2", "4", "8"], "source": list(WEIGHTS)}
    columns = {axis: rng.choice(values, 20_000) for axis, values in names.items()}
    cells = group(columns)
    asked = demands(cells, [Quota.model_validate(quota) for quota in (FORMATS, SHOTS)], weights=WEIGHTS)
    problem = problem_of(cells, asked)
    units = spread(problem, least_deviation(problem, 3000, 0.005))
    vertex = rounded(units, cells.lowest, cells.highest, problem.codes)
    for name, draws in (("bare linear program", vertex), ("nearest to natural", solve(cells, asked, 3000).draws)):
        held, natural = draws / draws.sum(), cells.samples / cells.samples.sum()
        there = held > 0
        divergence = float((held[there] * np.log(held[there] / natural[there])).sum())
        print(f"| {name} | {there.sum()} of {len(cells)} | {divergence:.2f} |")


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=50_000)
    most = parser.parse_args().cells
    say_machine()
    print("| cells | asked | size | rows | worst, points | off | seconds |\n|---|---|---|---|---|---|---|")
    for number in (most // 50, most // 5, most):
        times(cells_of(number))
    print("\n| mix | cells drawn from | divergence from the natural mix (nats) |\n|---|---|---|")
    beside_the_bare_program()


if __name__ == "__main__":
    main()
