"""From a sweep's file to its design: the space, the trials, what they cost, and which of them the budget holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curate.engine import Progress
from pipelines.sweep.cost import Measure, Pace, Price, measured_pace, within_budget
from pipelines.sweep.design import Design, Trial, read_design, write_design
from pipelines.sweep.designs.making import ALWAYS, PRIOR, rows_of
from pipelines.sweep.pool import Pool
from pipelines.sweep.setting import Setting, setting_of, train_config
from pipelines.sweep.settings import SweepSpec
from pipelines.sweep.space import Point, Space
from pipelines.sweep.stock import Held, repeats_of, space_of


@dataclass(frozen=True)
class Designer:
    """A sweep's settings and the folder that its design goes to."""

    spec: SweepSpec
    base: Path  # the file's folder: its places begin here
    out: Path
    workers: int = 1
    progress: Progress | None = None
    measure: Measure = measured_pace

    def design(self) -> Design:
        """The design; writes nothing but what trials share (OUT/pool) and the plan of the first of them."""
        spec = self.spec
        setting = setting_of(spec, self.base, self.out)
        held = Pool(self.out, setting, self.workers, self.progress).held(spec.mixes)
        space, notes = space_of(spec, held)
        pool = Pool(self.out, replace(setting, data=Pool(self.out, setting).digests()), self.workers)
        setting = pool.setting
        trials, needed = self.trials(space, setting)
        pool.measure(trials)
        pace = self.measure(pool, trials[0])
        price = self._price(setting, pace)
        kept = within_budget(spec.budget, price, trials, needed, spec.design.seeds)
        told = cost_of(trials[:kept], trials[kept:], price, spec, held) | {"notes": notes}
        return Design(spec.model_dump(mode="json"), space, trials[0].mix, tuple(trials[:kept]), told, setting.as_json())

    def trials(self, space: Space, setting: Setting) -> tuple[list[Trial], int]:
        """All trials, those that every sweep needs first; and how many these are."""
        design = self.spec.design
        again = design.seeds - 1
        rows = rows_of(space, design.designs, self.spec.seed, design.runs and max(1, design.runs - again))
        found = []
        for row in rows:
            seeds = design.seeds if PRIOR in row.kinds else 1
            found += [setting.trial(space, space.point(row.row), row.kinds, self.spec.seed + at) for at in range(seeds)]
        return found, sum(bool(set(trial.kinds) & set(ALWAYS)) for trial in found)

    def _price(self, setting: Setting, pace: Pace) -> Price:
        return price_of(setting, pace, self.spec)


def price_of(setting: Setting, pace: Pace, spec: SweepSpec) -> Price:
    """What trials of a sweep cost at a pace."""
    config = train_config(setting.config_of("-", Point({}, {})))
    return Price(pace, config.steps or 0, config.validation.every if config.validation else None, spec.halving)


def cost_of(kept: Sequence[Trial], left: Sequence[Trial], price: Price, spec: SweepSpec, held: Held) -> dict[str, Any]:
    """The cost as design.json has it."""
    repeats = {trial.mix: repeats_of(held, trial.point) for trial in kept}
    sources = sorted({name for found in repeats.values() for name in found})
    protected = sum(PRIOR in trial.kinds for trial in kept)
    pace = {name: round(value, 6) for name, value in vars(price.pace).items()}
    return {
        "runs": len(kept),
        "mixes": len({trial.mix for trial in kept}),
        "steps": price.steps,
        "tokens": round(price.tokens(len(kept), protected)),
        "seconds": round(price.seconds(len(kept), protected), 1),
        "budget": spec.budget,
        "pace": pace,
        "repeats": {mix: {name: round(value, 4) for name, value in found.items()} for mix, found in repeats.items()},
        "most_repeats": {name: round(max(found.get(name, 0.0) for found in repeats.values()), 4) for name in sources},
        "left_out": [_left_out(trial, spec) for trial in left],
    }


def _left_out(trial: Trial, spec: SweepSpec) -> Mapping[str, Any]:
    shares = {axis: dict(named) for axis, named in trial.point.shares.items()}
    why = f"over the budget of {spec.budget}"
    return {"kinds": list(trial.kinds), "seed": trial.seed, "shares": shares, "choices": dict(trial.point.choices), "why": why}


def with_trials(folder: Path, points: Sequence[Point], kind: str, seeds: Sequence[int] = (0,)) -> Design:
    """Adds trials to a sweep that is there, such as those a fit proposes; a mix with a seed that it has gets another kind."""
    design = read_design(folder)
    setting, known = Setting.of(design.setting), {trial.id: trial for trial in design.trials}
    for point in points:
        for seed in seeds:
            fresh = setting.trial(design.space, point, (kind,), seed)
            old = known.get(fresh.id, fresh)
            known[fresh.id] = replace(old, kinds=tuple(dict.fromkeys((*old.kinds, kind))))
    whole = replace(design, trials=tuple(known.values()))
    write_design(folder, whole)
    return whole
