"""The truth test of sweeps: what proposals are worth on made-up surfaces whose best mix is known.

    python benchmarks/bench_sweep.py [--seeds 50] [--m 3,4,5,6,7,8] [--noise 0.25] [--kinds losses,quadratic,…]

A sweep has 4 (m + 1) runs of m components. Contenders that see the same runs: the proposal of `curate sweep fit`; the best
run (random search); and, as RegMix does, LightGBM whose 100 best of 10,000 simulated mixes are averaged. "In rounds" spends
as many runs: half of these, then in two rounds what `curate sweep design --next` asks for. Figures are of true values.
Nothing was tuned on these surfaces: choices were made on others, drawn under another name, of all kinds but `power`.
"""

import argparse
from collections.abc import Callable

import numpy as np

from pipelines.sweep.fitting import FitSettings, fit_sweep
from pipelines.sweep.models.trees import Trees, is_installed
from pipelines.sweep.results import Observations
from pipelines.sweep.space import Floats
from pipelines.sweep.surfaces import KINDS, Surface, observe, observe_in_rounds, surface
from pipelines.sweep.tasks import task_of

SIMULATED, AVERAGED = 10_000, 100
ROUNDS, FITTED = 2, ("once", "rounds")
SETTINGS = FitSettings(outer=0)
NEAR = 0.02

Row = dict[str, float]


def random_search(truth: Surface, seen: Observations) -> Floats:
    task = task_of(seen, truth.weights)
    return task.rows[int(np.argmax(task.y))]


def regmix(truth: Surface, seen: Observations) -> Floats:
    """Mixes are simulated as RegMix draws them: Dirichlet about the prior, of strengths from 0.1 to 5."""
    task, dice = task_of(seen, truth.weights), np.random.default_rng(0)
    prior = np.array(truth.space.simplices[0].prior)
    strengths = np.exp(dice.uniform(np.log(0.1), np.log(5.0), SIMULATED)) * len(prior)
    drawn = dice.standard_gamma(strengths[:, None] * prior) + 1e-12
    mixes = drawn / drawn.sum(axis=1, keepdims=True)
    values = Trees(truth.space).fit(task.rows, task.y, 0.0).predict(mixes)[0]
    return mixes[np.argsort(-values, kind="stable")[:AVERAGED]].mean(axis=0)


def one(kind: str, m: int, seed: int, noise: float) -> Row:
    truth, runs = surface(kind, m, seed), 4 * (m + 1)
    seen = observe(truth, runs, noise, seed)
    again = observe_in_rounds(truth, runs, noise, seed, ROUNDS, SETTINGS.model_copy(update={"shuffles": 99}))
    fits = {
        name: fit_sweep(each, truth.weights, SETTINGS, targets=False) for name, each in (("once", seen), ("rounds", again))
    }
    contenders = {name: fit.proposal.row for name, fit in fits.items()} | {"random": random_search(truth, seen)}
    if is_installed():
        contenders["regmix"] = regmix(truth, seen)
    top, base, *values = truth.value(
        np.stack([truth.optimum(), truth.space.row(truth.space.prior), *contenders.values()])
    ).tolist()
    found: Row = {"m": m, "top": top, "range": top - base, "base": top - base}
    found |= dict(zip(contenders, [top - value for value in values], strict=True))
    for (name, fit), value in zip(fits.items(), values, strict=False):
        gain = fit.proposal.gains[0]
        found[f"{name} covered"] = gain.low <= value - base <= gain.high
        found[f"{name} significant"] = gain.significant
        found[f"{name} wrong"] = gain.significant and value < base
    return found


def told(label: str, rows: list[Row]) -> str:
    """One line: shares within 2 % and shares of the range lost, for each contender."""
    tops, ranges = np.array([abs(row["top"]) for row in rows]), sum(row["range"] for row in rows)
    cells = []
    for name in ("base", *FITTED, "random", "regmix"):
        if name in rows[0]:
            lost = np.array([row[name] for row in rows])
            cells.append(f"{np.mean(lost <= NEAR * tops):.0%}, {lost.sum() / max(ranges, 1e-9):.0%}")
    for what in ("covered", "significant", "wrong"):
        cells.append(", ".join(f"{np.mean([row[f'{name} {what}'] for row in rows]):.0%}" for name in FITTED))
    return f"| {label} | {len(rows)} | " + " | ".join(cells) + " |"


def table(rows: dict[str, list[Row]], pooled: Callable[[Row], str]) -> None:
    groups: dict[str, list[Row]] = {}
    for kind, each in rows.items():
        for row in each:
            if kind != "flat":
                groups.setdefault(pooled(row), []).append(row)
    for label, each in groups.items():
        print(told(label, each))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--m", default="3,4,5,6,7,8")
    parser.add_argument("--noise", type=float, default=0.25)
    parser.add_argument("--kinds", default=",".join(KINDS))
    asked = parser.parse_args()
    sizes, rows = [int(m) for m in asked.m.split(",")], dict[str, list[Row]]()
    print("each: share within 2 % of the optimum's value, share of prior-to-optimum lost; last three: proposal, in rounds")
    print(
        "| surface, m | sweeps | prior | proposal | in rounds | best run | RegMix-style | covered | significant | yet worse |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for kind in asked.kinds.split(","):
        for m in sizes:
            each = [one(kind, m, seed, asked.noise) for seed in range(asked.first, asked.first + asked.seeds)]
            rows.setdefault(kind, []).extend(each)
            print(told(f"{kind} {m}", each), flush=True)
    for kind, each in rows.items():
        print(told(kind, each))
    table(rows, lambda row: f"m = {row['m']:.0f}")
    table(rows, lambda row: "all")


if __name__ == "__main__":
    main()
