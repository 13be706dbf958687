"""What a sweep takes before any of it is run: tokens, hours at the pace of a few steps made now, repeats of samples."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from curate.errors import ConfigError
from pipelines.jobs.layers import laid_over
from pipelines.jobs.paces import STEPS, clock, few_steps, steps_of
from pipelines.jobs.processes import environment
from pipelines.sweep.design import Trial
from pipelines.sweep.pool import Pool
from pipelines.sweep.setting import train_config
from pipelines.sweep.settings import HalvingSettings, budget_of

FORWARD = 1 / 3
"""What a step costs without its gradients."""


@dataclass(frozen=True)
class Pace:
    """How fast trials go on this machine, one at a time."""

    step_seconds: float
    step_tokens: float  # positions of a step, padding left out
    item_seconds: float  # a question of a benchmark
    load_seconds: float  # a model
    mix_seconds: float  # a plan
    passes: float  # how often the training goes over its plan
    items: int  # questions that a trial is asked
    validations: float  # steps' worth of one validation


Measure = Callable[[Pool, Trial], Pace]


def measured_pace(pool: Pool, trial: Trial) -> Pace:
    """The pace of the first trial: its plan mixed, a few steps made, a few questions asked. ConfigError when it cannot be
    trained, which is better known now."""
    began = time.monotonic()
    plan = pool.trial_plan(trial)
    mixed = time.monotonic() - began
    layer = pool.setting.config_of(trial.id, trial.point, trial.seed)
    rows = few_steps(pool.out, layer)
    if rows is None:
        name = f"trials/{trial.id}"
        raise ConfigError(f"the trial {name} cannot be trained for {STEPS} steps; see why: {_why(pool, layer)}")
    config = train_config(laid_over(layer, {"model": pool.place(layer["model"])}))
    step = statistics.median(float(row["step_s"]) for row in rows)
    tokens = statistics.median(float(row["tokens_per_s"]["real"]) * float(row["step_s"]) for row in rows)
    asked = _asked(pool)
    steps = config.steps or 1
    share = config.validation.samples / max(1.0, len(plan) / max(1, steps_of(plan, config))) if config.validation else 0.0
    passes = steps / max(1, steps_of(plan, config))
    return Pace(step, tokens, asked["item_seconds"], asked["load_seconds"], mixed, passes, asked["items"], share * FORWARD)


def _why(pool: Pool, layer: dict[str, Any]) -> str:
    """The error of a training, in a line."""
    code = (
        "import sys, json; from pipelines.sweep.setting import train_config; from train.loop import train; import tempfile\n"
    )
    code += "config = train_config(json.loads(sys.argv[1]))\n"
    code += "train(config.model_copy(update={'out': tempfile.mkdtemp() + '/run', 'until': 1, 'validation': None}))\n"
    words = [sys.executable, "-c", code, json.dumps(layer)]
    told = subprocess.run(words, cwd=pool.out, capture_output=True, text=True, check=False, env=environment(1)).stderr
    return (told.strip().splitlines() or ["no message"])[-1]


def _asked(pool: Pool) -> dict[str, Any]:
    """Seconds of loading a model and of a question, by asking one group of each benchmark; and all questions of a trial."""
    if not pool.setting.benchmarks:
        return {"item_seconds": 0.0, "load_seconds": 0.0, "items": 0}
    words = [sys.executable, "-m", "pipelines.sweep.asking"]
    told = subprocess.run(
        words, cwd=pool.out, input=json.dumps(pool.setting.as_json()), capture_output=True, text=True, check=False,
        env=environment(1),
    )  # fmt: skip
    if told.returncode:
        raise ConfigError(f"the model cannot be asked: {(told.stderr.strip().splitlines() or ['no message'])[-1]}")
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return found


@dataclass(frozen=True)
class Price:
    """The cost of trials that run one after the other."""

    pace: Pace
    steps: int
    every: int | None  # steps between two validations
    halving: HalvingSettings | None

    def stages(self, trials: int, protected: int) -> list[tuple[int, int]]:
        """(trials, steps) of each stretch between rungs; the runs of the prior, `protected`, are never stopped."""
        if self.halving is None:
            return [(trials, self.steps)]
        found, alive, before = [], trials, 0
        for rung in (*self.halving.rungs, self.steps):
            found.append((alive, rung - before))
            alive, before = min(alive, protected + going_on(alive - protected, self.halving.eta)), rung
        return found

    def seconds(self, trials: int, protected: int) -> float:
        """Of all of them."""
        pace = self.pace
        stages = sum(count * self._stretch(steps) for count, steps in self.stages(trials, protected))
        return stages + trials * pace.mix_seconds

    def _stretch(self, steps: int) -> float:
        pace = self.pace
        validations = ceil(steps / self.every) if self.every else 0
        asked = pace.load_seconds + pace.items * pace.item_seconds
        return (steps + validations * pace.validations) * pace.step_seconds + pace.load_seconds + asked

    def tokens(self, trials: int, protected: int) -> float:
        """Positions that all of them are trained on, padding left out."""
        return sum(count * steps for count, steps in self.stages(trials, protected)) * self.pace.step_tokens

    def amount(self, unit: str, trials: int, protected: int) -> float:
        """Seconds or tokens."""
        return self.seconds(trials, protected) if unit == "seconds" else self.tokens(trials, protected)


def going_on(trials: int, eta: float) -> int:
    """How many of the trials at a rung go on."""
    return ceil(max(0, trials) / eta)


def within_budget(budget: str, price: Price, trials: Sequence[Trial], needed: int, protected: int) -> int:
    """How many of the trials, from the first, keep a budget; ConfigError when those that a sweep needs do not."""
    if not budget:
        return len(trials)
    unit, most = budget_of(budget)
    kept = max((n for n in range(len(trials) + 1) if price.amount(unit, n, min(n, protected)) <= most), default=0)
    if kept < needed:
        wanted = price.amount(unit, needed, protected)
        shown = clock(wanted) if unit == "seconds" else f"{wanted:,.0f} tokens"
        raise ConfigError(
            f"a budget of {budget} does not hold the {needed} trials that a sweep needs (the prior with its seeds, natural,"
            f" uniform), which take about {shown}; raise it, or give the train file fewer steps"
        )
    return kept
