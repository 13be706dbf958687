"""What came out: gains over the strongest reference with intervals over seeds and questions, controls, and what was promised.

A benchmark's score is its accuracy with demonstrations as they are ("full"), the mean over the claim's numbers of shots. Its
gain is against the best of the reference stages on that very benchmark, by their means over seeds. Intervals draw seeds and
questions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from curate.statistics import Interval, over_seeds
from pipelines.headline.scores import Scores, Table
from pipelines.headline.settings import ClaimSettings, Figure, GoalSettings
from pipelines.headline.trained import Trained

CONTROLS = ("none", "text", "shuffled", "swapped")
BASELINES = ("chance", "knn", "copy-first", "copy-last", "copy-nearest", "majority")
POINTS = 100.0

Tables = Mapping[str, list[Table]]
"""Stage -> a table a seed."""


@dataclass(frozen=True)
class Gain:
    """The tuned stage on one benchmark, in points of accuracy."""

    bench: str
    unseen: bool  # of a picture domain that no training shows
    tuned: Interval
    reference: str  # the strongest reference stage
    against: Interval
    gain: Interval
    baselines: dict[str, float]


@dataclass(frozen=True)
class Kept:
    """Whether a promise was kept; None where it was not measured."""

    goal: GoalSettings
    value: float | None
    kept: bool | None


@dataclass(frozen=True)
class Summary:
    """Everything that the tables say; accuracies and differences in points."""

    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    gains: list[Gain]
    average: Interval | None  # of the gains
    unseen: Interval | None
    stages: dict[str, dict[str, float]]  # stage -> benchmark -> accuracy, over the questions that all stages were asked
    behind: dict[str, Interval]  # stage -> the tuned stage less it on those questions, the mean over the benchmarks
    controls: dict[str, dict[str, float]]  # stage -> condition -> mean accuracy over the benchmarks that have all seeds
    skill: dict[str, dict[str, float]]  # stage -> benchmark -> accuracy without demonstrations
    trained: dict[str, Trained]
    figures: dict[Figure, float]
    goals: list[Kept]
    missing: list[str] = field(default_factory=list)  # benchmarks of the claim without all answers

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            **asdict(self),
            "goals": [{**kept.goal.model_dump(), "value": kept.value, "kept": kept.kept} for kept in self.goals],
        }


def summarise(scores: Scores, trained: Mapping[str, Trained] | None = None) -> Summary:
    """The summary of what is there; benchmarks that lack answers are named as missing."""
    claim = scores.experiment.claim
    found = {bench: _tables(scores, bench) for bench in claim.benches}
    whole = {bench: tables for bench, tables in found.items() if tables}
    gains = [_gain(scores, bench, tables) for bench, tables in whole.items()]
    unseen = [bench for bench in whole if bench in claim.unseen]
    common = _common(scores)
    summary = Summary(
        shots=claim.shots,
        seeds=scores.experiment.seeds,
        gains=gains,
        average=_average(claim, whole, [gain.reference for gain in gains]),
        unseen=_average(
            claim, {bench: whole[bench] for bench in unseen}, [gain.reference for gain in gains if gain.bench in unseen]
        ),
        stages={stage: _means(tables) for stage, tables in common.items()},
        behind=_behind(claim, common),
        controls=_controls(scores),
        skill=_skill(scores),
        trained=dict(trained or {}),
        figures={},
        goals=[],
        missing=[bench for bench, tables in found.items() if not tables],
    )
    summary.figures.update(figures(scores, summary))
    summary.goals.extend(_kept(goal, summary.figures.get(goal.figure)) for goal in claim.goals)
    return summary


def _tables(scores: Scores, bench: str) -> dict[str, list[Table]] | None:
    """Stage -> a table a seed, of the tuned stage and its references; None where one is missing."""
    claim = scores.experiment.claim
    found = {stage: scores.by_seed(stage, bench, "full", claim.shots) for stage in (claim.tuned, *claim.references)}
    whole = {stage: tables for stage, tables in found.items() if tables}
    return whole if len(whole) == len(found) else None


def _gain(scores: Scores, bench: str, tables: Tables) -> Gain:
    claim = scores.experiment.claim
    reference = strongest(claim, tables)
    baselines = {name: scores.baseline(bench, name, claim.shots) for name in BASELINES}
    return Gain(
        bench=bench,
        unseen=bench in claim.unseen,
        tuned=in_points(over_seeds([tables[claim.tuned]])),
        reference=reference,
        against=in_points(over_seeds([tables[reference]])),
        gain=in_points(over_seeds([differences(tables[claim.tuned], tables[reference])])),
        baselines={name: POINTS * value for name, value in baselines.items() if value is not None},
    )


def strongest(claim: ClaimSettings, tables: Tables) -> str:
    """The reference with the highest mean; the first of equals."""
    means = {stage: float(np.mean([list(table.values()) for table in tables[stage]])) for stage in claim.references}
    return max(means, key=lambda stage: means[stage])


def differences(one: Sequence[Table], other: Sequence[Table]) -> list[Table]:
    """Seed by seed and question by question, over the questions that both were asked."""
    pairs = zip(one, other, strict=True)
    return [{group: mine[group] - theirs[group] for group in mine if group in theirs} for mine, theirs in pairs]


def _average(claim: ClaimSettings, whole: Mapping[str, Tables], references: Sequence[str]) -> Interval | None:
    pairs = zip(whole.values(), references, strict=True)
    tables = [differences(known[claim.tuned], known[reference]) for known, reference in pairs]
    return in_points(over_seeds(tables)) if tables else None


def _common(scores: Scores) -> dict[str, dict[str, list[Table]]]:
    """Stage -> benchmark -> a table a seed, over the questions that all stages were asked."""
    claim, found = scores.experiment.claim, dict[str, dict[str, list[Table]]]()
    for bench in claim.benches:
        stages = ("model", *scores.experiment.stages)
        tables = {stage: known for stage in stages if (known := scores.by_seed(stage, bench, "full", claim.shots))}
        asked = set.intersection(*({*table} for known in tables.values() for table in known)) if tables else set()
        for stage, known in tables.items():
            kept = [{group: value for group, value in table.items() if group in asked} for table in known]
            if asked:
                found.setdefault(stage, {})[bench] = kept
    return found


def _means(tables: Mapping[str, list[Table]]) -> dict[str, float]:
    return {bench: POINTS * float(np.mean([list(table.values()) for table in known])) for bench, known in tables.items()}


def _behind(claim: ClaimSettings, common: Mapping[str, dict[str, list[Table]]]) -> dict[str, Interval]:
    mine = common.get(claim.tuned, {})
    pairs = {
        stage: [differences(mine[bench], known) for bench, known in tables.items() if bench in mine]
        for stage, tables in common.items()
        if stage != claim.tuned
    }
    return {stage: in_points(over_seeds(tables)) for stage, tables in pairs.items() if tables}


def _skill(scores: Scores) -> dict[str, dict[str, float]]:
    none = _accuracies(scores, scores.experiment.claim.skill, "none", [0])
    full = _accuracies(scores, scores.experiment.claim.skill, "full", [0])
    return {stage: {**full.get(stage, {}), **none.get(stage, {})} for stage in {**full, **none}}


def _accuracies(scores: Scores, benches: Sequence[str], condition: str, shots: Sequence[int]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for stage in ("model", *scores.experiment.stages):
        for bench in benches:
            if (score := scores.score(stage, bench, condition, shots)) is not None:
                found.setdefault(stage, {})[bench] = POINTS * score
    return found


def _controls(scores: Scores) -> dict[str, dict[str, float]]:
    """Over the claim's benchmarks; each control at the shots of the claim that it was measured with, `none` without any."""
    claim, found = scores.experiment.claim, dict[str, dict[str, float]]()
    for stage in (claim.tuned, *claim.references):
        for condition in CONTROLS:
            values = [_control(scores, stage, bench, condition) for bench in claim.benches]
            if known := [value for value in values if value is not None]:
                found.setdefault(stage, {})[condition] = POINTS * float(np.mean(known))
    return found


def _control(scores: Scores, stage: str, bench: str, condition: str) -> float | None:
    if condition == "none":
        return scores.score(stage, bench, condition, [0])
    shots = measured_shots(scores, stage, bench, condition)
    return scores.score(stage, bench, condition, shots) if shots else None


def measured_shots(scores: Scores, stage: str, bench: str, condition: str) -> list[int]:
    """The claim's numbers of shots that a control was measured with."""
    seed = scores.experiment.seeds_of(stage)[0]
    return [shots for shots in scores.experiment.claim.shots if (stage, seed, bench, condition, shots) in scores.tables]


def figures(scores: Scores, summary: Summary) -> dict[Figure, float]:
    """The figures that goals speak of, in points:

    average_gain, best_gain  over the strongest reference: mean and largest over the benchmarks
    unseen_gain              the mean over benchmarks of unseen domains
    intervals_apart          share of benchmarks whose intervals do not overlap, in per cent
    skill_change             single-image accuracy of the tuned stage less that of the first reference
    over_knn                 the tuned stage less nearest demonstrations by the encoder, the mean over the benchmarks
    siblings_over_knn        the same over the benchmarks of siblings
    shuffled_over_chance     the tuned stage less chance where answers are shuffled; swapped_over_chance: pictures swapped
    """
    found: dict[Figure, float | None] = {
        "average_gain": summary.average.mean if summary.average else None,
        "best_gain": max((gain.gain.mean for gain in summary.gains), default=None),
        "unseen_gain": summary.unseen.mean if summary.unseen else None,
        "intervals_apart": _mean([POINTS * (gain.tuned.low > gain.against.high) for gain in summary.gains]),
        "skill_change": _skill_change(scores.experiment.claim, summary),
        "over_knn": _over_knn(summary.gains),
        "siblings_over_knn": _over_knn([gain for gain in summary.gains if gain.bench in scores.experiment.claim.siblings]),
        "shuffled_over_chance": _over_chance(scores, "shuffled"),
        "swapped_over_chance": _over_chance(scores, "swapped"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _skill_change(claim: ClaimSettings, summary: Summary) -> float | None:
    mine, theirs = summary.skill.get(claim.tuned, {}), summary.skill.get(claim.references[0], {})
    return _mean([mine[bench] - theirs[bench] for bench in claim.skill if bench in mine and bench in theirs])


def _over_knn(gains: Sequence[Gain]) -> float | None:
    return _mean([gain.tuned.mean - gain.baselines["knn"] for gain in gains if "knn" in gain.baselines])


def _over_chance(scores: Scores, condition: str) -> float | None:
    claim, over = scores.experiment.claim, []
    for bench in claim.benches:
        shots = measured_shots(scores, claim.tuned, bench, condition)
        score = scores.score(claim.tuned, bench, condition, shots) if shots else None
        chance = scores.baseline(bench, "chance", shots)
        if score is not None and chance is not None:
            over.append(POINTS * (score - chance))
    return _mean(over)


def _kept(goal: GoalSettings, value: float | None) -> Kept:
    if value is None:
        return Kept(goal, None, None)
    low = goal.at_least is None or value >= goal.at_least
    return Kept(goal, value, low and (goal.at_most is None or value <= goal.at_most))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def in_points(interval: Interval) -> Interval:
    """0..1 as 0..100."""
    return Interval(POINTS * interval.mean, POINTS * interval.low, POINTS * interval.high)
