"""`curate sweep fit`: what the trials say, target by target and for the objective, and the mix to take.

fit.json holds everything that a report shows. Values of targets are in their own units, losses as losses; the objective's and
all gains are better when higher.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import Field, field_validator
from scipy import stats

from curate.errors import InputError
from curate.seeding import rng
from curate.settings import Settings
from curate.statistics import holm
from pipelines.sweep import effects
from pipelines.sweep.belief import Belief
from pipelines.sweep.confirming import Confirmed, confirmed
from pipelines.sweep.following import next_trials
from pipelines.sweep.limits import Limits
from pipelines.sweep.models import MODELS
from pipelines.sweep.proposing import Gain, Proposal, point_of, propose
from pipelines.sweep.results import Observations, better_when_lower
from pipelines.sweep.space import Floats
from pipelines.sweep.tasks import Noise, Task, objective_of, task_of
from pipelines.sweep.validation import Skill, Tried, believe, candidates, nested, try_all, weights_of

LEAST_MIXES = 4
OBJECTIVE = "objective"
FIT = "fit.json"
EFFECT_DRAWS = 200
ASTRAY = 0.05
"""Share of a plan, on one axis, that may be another than asked for before it is told."""


class FitSettings(Settings):
    """How results are fitted and a mix proposed."""

    models: tuple[str, ...] = ("linear", "quadratic", "log-linear", "process")
    """Response models that are tried; `trees` is LightGBM, an extra that needs 40 mixes."""
    folds: int = Field(default=6, ge=2)
    """Parts of the cross-validation by which models are weighted; mixes are held out whole."""
    outer: int = Field(default=5, ge=0)
    """Parts of the one around it, which tells what the weighted models are worth; 0 leaves it out."""
    caution: float = Field(default=2.0, ge=0)
    """The proposal has the highest prediction less so many of its standard deviations."""
    within: float = Field(default=1.0, gt=0, le=1)
    """How much of a mix may be other data than in the prior (total variation), in each simplex."""
    penalty: float = Field(default=0.0, ge=0)
    """Of the objective, per nat of divergence from the prior."""
    level: float = Field(default=0.9, gt=0, lt=1)
    """Of the intervals."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Largest p of a difference that counts as one."""
    shuffles: int = Field(default=999, ge=99)
    """Of the permutation test."""
    next: int = Field(default=4, ge=0)
    """Next trials that are suggested."""
    seed: int = 0
    """Another one deals mixes to other folds and draws other candidates."""

    @field_validator("models")
    @classmethod
    def _known(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        for name in models:
            MODELS.get(name)
        return models


@dataclass(frozen=True)
class Response:
    """One target, or the objective, as fitted."""

    name: str
    belief: Belief
    tried: tuple[Tried, ...]
    held_out: Floats | None  # [n] by the whole procedure
    skill: Skill | None  # of it
    missing: int  # trials with results that lack it

    @property
    def noise(self) -> Noise:
        """What seeds alone do."""
        return self.belief.task.noise()

    def explains(self, alpha: float) -> bool | None:
        """Whether held-out mixes are predicted better than by the mean, and in their order; None where that was not tried."""
        if self.skill is None:
            return None
        if self.skill.r2 <= 0 or self.skill.spearman is None or self.held_out is None:
            return False
        return bool(stats.spearmanr(self.belief.task.y, self.held_out, alternative="greater").pvalue <= alpha)


@dataclass(frozen=True)
class Fit:
    """All that was found."""

    seen: Observations
    settings: FitSettings
    weights: Mapping[str, float]  # of the objective
    objective: Response
    targets: tuple[Response, ...]
    too_few: Mapping[str, int]  # targets with fewer than four mixes: how many they have
    proposal: Proposal
    limits: Limits

    @property
    def belief(self) -> Belief:
        """About the objective."""
        return self.objective.belief

    @property
    def confirmed(self) -> list[Confirmed]:
        """Confirmation runs beside those of the prior."""
        task = self.belief.task
        trials = [self.seen.trials[at] for at in task.kept] if self.seen.trials else []
        return confirmed(task, trials, self.settings.level)


def fit_sweep(
    seen: Observations,
    asked: Mapping[str, float] | None,
    settings: FitSettings,
    say: Callable[[str], None] = lambda line: None,
    targets: bool = True,
) -> Fit:
    """Fits the objective and, with `targets`, each target. InputError when fewer than four mixes have all of the objective."""
    weights = objective_of(list(seen.targets), asked)
    task = task_of(seen, weights)
    if task.count < LEAST_MIXES:
        raise InputError(f"{task.count} mixes have the whole objective; a fit needs {LEAST_MIXES}, so run more trials")
    say(f"fitting the objective on {len(task.rows)} runs of {task.count} mixes")
    objective = respond(OBJECTIVE, task, settings, len(seen) - len(task.rows), proposing=True)
    limits = Limits(seen.space, settings.within, settings.penalty)
    proposal = propose(
        objective.belief, limits, settings.caution, settings.level, settings.alpha, settings.seed, settings.shuffles
    )
    found, too_few = [], dict[str, int]()
    for name in seen.targets if targets else ():
        own = task_of(seen, {name: -1.0 if better_when_lower(name) else 1.0})
        if own.count < LEAST_MIXES:
            too_few[name] = own.count
            continue
        say(f"fitting {name}")
        found.append(respond(name, own, settings, len(seen) - len(own.rows)))
    return Fit(seen, settings, weights, objective, tuple(found), too_few, proposal, limits)


def respond(name: str, task: Task, settings: FitSettings, missing: int, proposing: bool = False) -> Response:
    """Weighs the models of one response by cross-validation, and around that the weighing."""
    names = candidates(task, settings.models, proposing)
    tried = try_all(task, names, settings.folds, settings.seed, name)
    belief = believe(task, tried)
    if not settings.outer:
        return Response(name, belief, tuple(tried), None, None, missing)
    held_out, skill = nested(task, names, settings.outer, max(2, settings.folds - 2), settings.seed, name)
    return Response(name, belief, tuple(tried), held_out, skill, missing)


def as_json(fit: Fit, counts: Mapping[str, int]) -> dict[str, Any]:
    """fit.json; `counts` are trials by state."""
    following = next_trials(fit.belief, fit.limits, fit.settings.next, fit.settings.seed)
    space = fit.seen.space
    too_small = {
        name: MODELS.get(name).least for name in fit.settings.models if MODELS.get(name).least > fit.belief.task.count
    }
    return {
        "settings": fit.settings.model_dump(mode="json"),
        "columns": list(space.columns),
        "trials": dict(counts),
        "weights": dict(fit.weights),
        "objective": {
            **_response(fit, fit.objective),
            "ternaries": [asdict(one) for one in _ternaries(fit)],
            "pairs": [asdict(one) for one in _pairs(fit)],
        },
        "targets": {one.name: _response(fit, one) for one in fit.targets},
        "too_few": dict(fit.too_few),
        "models_left_out": {name: f"needs {least} mixes" for name, least in too_small.items()},
        "proposal": _proposal(fit),
        "confirmed": _confirmed(fit),
        "strayed": _strayed(fit.seen),
        "next": [{**point_of(space, space.row(one.point)), "expected_improvement": one.improvement} for one in following],
        "verdict": verdict(fit),
    }


def _response(fit: Fit, one: Response) -> dict[str, Any]:
    task, level = one.belief.task, fit.settings.level
    sign = -1.0 if better_when_lower(one.name) else 1.0
    dice = rng(fit.settings.seed, "sweep-effects", one.name)
    models = zip(one.tried, weights_of(one.tried, task.count).tolist(), strict=True)
    parts = effects.components(one.belief, level, EFFECT_DRAWS, dice)
    return {
        "better": "lower" if sign < 0 else "higher",
        "runs": len(task.rows),
        "mixes": task.count,
        "missing": one.missing,
        "noise": asdict(one.noise),
        "models": [{"name": tried.name, "weight": weight, **asdict(tried.skill)} for tried, weight in models],
        "chosen": one.belief.name,
        "nested": asdict(one.skill) if one.skill else None,
        "explains": one.explains(fit.settings.alpha),
        "verdict": _told(one, fit.settings.alpha),
        "predictions": _predictions(fit, one, sign),
        "predicted": _predicted(fit, one, sign),
        "components": [_turned(asdict(part), sign) for part in parts],
        "choices": [_turned(asdict(part), sign) for part in effects.levels(one.belief, level, EFFECT_DRAWS, dice)],
    }


def _predictions(fit: Fit, one: Response, sign: float) -> list[dict[str, Any]]:
    task, (mean, sd) = one.belief.task, one.belief.predict(one.belief.task.rows)
    ids = [trial.id for trial in fit.seen.trials] or [str(at) for at in range(len(fit.seen))]
    held_out = [None] * len(mean) if one.held_out is None else (sign * one.held_out).tolist()
    return [
        {
            "trial": ids[kept],
            "mix": str(fit.seen.mixes[kept]),
            "seed": int(fit.seen.seeds[kept]),
            "observed": float(sign * task.y[at]),
            "held_out": held_out[at],
            "fitted": float(sign * mean[at]),
            "sd": float(sd[at]),
        }
        for at, kept in enumerate(task.kept.tolist())
    ]


def _predicted(fit: Fit, one: Response, sign: float) -> dict[str, Any]:
    """What is predicted of the proposal and of the mixes that it is compared with."""
    named = {"proposal": fit.proposal.row, **{gain.baseline: gain.row for gain in fit.proposal.gains}}
    mean, sd = one.belief.predict(np.stack([*named.values()]))
    pairs = zip(named, (sign * mean).tolist(), sd.tolist(), strict=True)
    return {name: {"mean": value, "sd": error} for name, value, error in pairs}


def _turned(part: dict[str, Any], sign: float) -> dict[str, Any]:
    """A loss's curve and effect with their own sign; the ends of its intervals change places."""
    if sign > 0:
        return part
    pairs = {"low": "high", "high": "low", "effect_low": "effect_high", "effect_high": "effect_low"}
    return {
        name: value if name in ("column", "shares", "choice", "level") else _negative(part[pairs.get(name, name)])
        for name, value in part.items()
    }


def _negative(value: float | list[float]) -> float | list[float]:
    return [-one for one in value] if isinstance(value, list) else -value


def _ternaries(fit: Fit) -> list[effects.Ternary]:
    dice = rng(fit.settings.seed, "sweep-effects", "ternary")
    return effects.ternaries(fit.belief, effects.components(fit.belief, fit.settings.level, 20, dice))


def _pairs(fit: Fit) -> list[effects.Pair]:
    dice = rng(fit.settings.seed, "sweep-effects", "pairs")
    return effects.pairs(fit.belief, fit.settings.level, EFFECT_DRAWS, dice)


def _proposal(fit: Fit) -> dict[str, Any]:
    space, made = fit.seen.space, fit.proposal
    return {
        **point_of(space, made.row),
        "mean": made.mean,
        "sd": made.sd,
        "significant": made.is_significant,
        "gains": [_gain(fit, gain) for gain in made.gains],
        "moved_from_prior": float(fit.limits.distances(made.row[None])[0]),
    }


def _strayed(seen: Observations) -> dict[str, float]:
    """Trials whose plans are another mix than asked for, by more than `ASTRAY`, and the farthest."""
    far = seen.strayed()
    return {"trials": int((far > ASTRAY).sum()), "farthest": float(far.max(initial=0.0))}


def _confirmed(fit: Fit) -> list[dict[str, Any]]:
    """Mixes with fresh seeds beside the prior's; p with Holm's correction over them."""
    found, told = fit.confirmed, []
    for one, p in zip(found, holm([one.p for one in found]), strict=True):
        plain = {name: value for name, value in asdict(one).items() if name != "row"}
        told.append({**plain, "p": p, **point_of(fit.seen.space, one.row)})
    return told


def _gain(fit: Fit, gain: Gain) -> dict[str, Any]:
    told = {name: value for name, value in asdict(gain).items() if name != "row"}
    return {**told, **point_of(fit.seen.space, gain.row)}


def _told(one: Response, alpha: float) -> str:
    """One sentence on what the models are worth."""
    noise, explains = one.noise, one.explains(alpha)
    floor = f"seeds alone scatter by {noise.sd:.3g}" if noise.is_known else "no mix was run twice, so the noise is not known"
    if explains is None or one.skill is None:
        return f"not held against unseen mixes (outer: 0); {floor}"
    if not explains:
        return f"the mix explains nothing that seeds do not, as far as {one.belief.task.count} mixes tell; {floor}"
    return f"unseen mixes are predicted to {one.skill.rmse:.3g}, {one.skill.r2:.0%} of their variance; {floor}"


def verdict(fit: Fit) -> str:
    """One sentence on the proposal."""
    gain = fit.proposal.gains[0]
    interval = f"{fit.settings.level:.0%} interval {gain.low:+.3g} to {gain.high:+.3g}"
    told = f"{gain.gain:+.3g} over the prior, {interval}, p = {gain.p:.3g}"
    if fit.proposal.is_significant:
        return f"the proposal is better than the prior: {told}"
    return f"no significant difference: the best mix that these trials point to is predicted {told}"
