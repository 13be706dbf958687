"""A realistic sweep that was never run: three sources, three formats, replay and an order; 27 trials, one of which failed."""

import json
from pathlib import Path

import numpy as np

from pipelines.sweep.design import Design, Trial, write_design
from pipelines.sweep.space import Choice, Floats, Simplex, Space
from pipelines.sweep.status import Status, write_status

THIRD = (1 / 3, 1 / 3, 1 / 3)
NAMES = ("emoji", "manuals", "web-pages")
RUNS = 27
COST = {
    "runs": 27, "mixes": 25, "steps": 200, "tokens": 24_600_000, "seconds": 12_900.0, "budget": "4h",
    "pace": {}, "repeats": {},
    "most_repeats": {"emoji": 2.4, "manuals": 1.1, "web-pages": 0.35, "old": 1.0},
    "left_out": [{"kinds": ["dirichlet"], "seed": 0, "shares": {}, "choices": {}, "why": "over the budget of 4h"}],
    "notes": ["source:emoji has at most 62 % of a plan, as samples may repeat 3 times"],
}  # fmt: skip
SPEC = {
    "mix": "mix.yaml", "train": "train.yaml", "objective": {"gain/concepts/2": 1, "skill/names": 0.5}, "budget": "4h",
    "fit": {"models": ["quadratic"], "folds": 2, "outer": 2, "shuffles": 199, "within": 0.35},
}  # fmt: skip


def space_of(names: tuple[str, ...] = NAMES, choice: bool = True) -> Space:
    """The space, its sources under other names if wanted."""
    many = len(names)
    prior = tuple(2 * (many - at) / (many * (many + 1)) for at in range(many))
    natural = tuple(reversed(prior))
    source = Simplex("source", names, prior, natural, (0.0,) * many, (1.0,) * many)
    format_ = Simplex("format", ("multiple_choice", "open_qa", "caption"), THIRD, (0.6, 0.3, 0.1), (0.05,) * 3, (0.9,) * 3)
    replay = Simplex("replay", ("yes", "no"), (0.2, 0.8), (0.1, 0.9), (0.0, 0.4), (0.6, 1.0))
    return Space((source, format_, replay), (Choice("order", ("curriculum", "flat")),) if choice else ())


def trials_of(space: Space, runs: int = RUNS, seed: int = 0) -> list[Trial]:
    """The prior three times, natural, even, and mixes drawn about the prior."""
    dice, found = np.random.default_rng(seed), list[Trial]()
    for at in range(runs):
        shares = {}
        for one in space.simplices:
            prior, low, high = (np.array(side) for side in (one.prior, one.low, one.high))
            drawn = {3: np.array(one.natural), 4: np.full(len(prior), 1 / len(prior))}.get(at, prior)
            while at > 4 or not np.all((drawn >= low - 1e-9) & (drawn <= high + 1e-9)):
                drawn = dice.dirichlet(prior * len(prior) * dice.choice([0.6, 1.5]))
                if np.all((drawn >= low) & (drawn <= high)):
                    break
            shares[one.axis] = dict(zip(one.components, drawn.tolist(), strict=True))
        choices = {one.name: one.levels[at % 2 if at > 4 else 0] for one in space.choices}
        kind = {0: "prior", 1: "prior", 2: "prior", 3: "natural", 4: "uniform"}.get(at, "dirichlet")
        row = {"shares": shares, "choices": choices, "seed": at if at < 3 else 0, "kinds": [kind], "key": f"{at:x}"}
        found.append(Trial.of({**row, "id": f"{at:02}a{at:09x}", "mix": "0" * 12 if at < 3 else f"{at:012x}"}))
    return found


def answers(space: Space, rows: Floats, dice: np.random.Generator, noise: float) -> dict[str, Floats]:
    """Targets [n]: pictures of things that models are said to do."""
    column = {name: rows[:, at] for at, name in enumerate(space.columns)}
    first, second, third = (column[f"source:{name}"] for name in space.simplices[0].components[:3])
    choice, open_qa = column["format:multiple_choice"], column["format:open_qa"]
    again = column["replay:yes"]
    flat = column.get("order=flat", np.zeros(len(rows)))
    gain = 0.3 - 0.6 * (first - 0.2) ** 2 - 0.5 * (third - 0.45) ** 2 + 0.12 * choice - 0.15 * again - 0.03 * flat
    skill = 0.66 + 0.28 * again - 0.3 * again**2 - 0.08 * first - 0.05 * choice
    values = {
        "gain/concepts/1": 0.7 * gain,
        "gain/concepts/2": gain,
        "accuracy/concepts/2": 0.35 + gain,
        "skill/names": skill,
        f"loss/{space.simplices[0].components[0]}": 1.6 + 0.9 * np.exp(-3 * first),
        f"loss/{space.simplices[0].components[1]}": 1.9 + 0.7 * np.exp(-2.5 * second - open_qa),
    }
    return {name: truth + dice.normal(0, noise, len(rows)) for name, truth in values.items()}


def write_sweep_folder(
    out: Path, names: tuple[str, ...] = NAMES, failed: int = 11, noise: float = 0.008, only: str = "", runs: int = RUNS,
    done: int | None = None, error: str = "ended with 1: OutOfMemoryError: CUDA out of memory", choice: bool = True,
) -> Design:  # fmt: skip
    """A sweep's folder as `curate sweep run` leaves it; `only` keeps one target, `done` trials have come to their end."""
    space = space_of(names, choice)
    trials = trials_of(space, runs)
    spec = {**SPEC, "objective": {}} if only else SPEC
    design = Design(spec, space, trials[0].mix, tuple(trials), COST)
    write_design(out, design)
    rows = np.stack([space.row(trial.point) for trial in trials])
    found = answers(space, rows, np.random.default_rng(1), noise)
    for at, trial in enumerate(trials):
        if at == failed:
            write_status(out, trial.id, Status("failed", 2, 41.0, error))
        elif done is None or at < done:
            targets = {name: {"value": float(values[at]), "error": 0.02} for name, values in found.items() if only in name}
            shares = {axis: dict(named) for axis, named in trial.point.shares.items()}
            result = {"targets": targets, "realised": shares, "rungs": [], "tokens": {"real": 910_000 + at}, "seconds": 460.0}
            write_status(out, trial.id, Status("done", 1, 470.0 + at))
            (out / "trials" / trial.id / "result.json").write_text(json.dumps(result))
    return design
