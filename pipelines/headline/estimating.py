"""How long the rest takes: paces measured by what is done, by a few steps of training, or else assumed."""

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from curate.benches import BENCH
from curate.storage import hash_json
from pipelines.headline.plan import MODEL
from pipelines.headline.settings import Experiment
from pipelines.jobs.job import Job
from pipelines.jobs.layers import Layer, laid_over
from pipelines.jobs.ledger import DONE, Ledger
from pipelines.jobs.paces import STEPS, few_steps, step_seconds, steps_done


@dataclass(frozen=True)
class Estimate:
    """What one job is expected to take."""

    job: Job
    done: bool
    seconds: float  # 0 for one that is done
    by: str  # where the figure is from


@dataclass
class Estimator:
    """Paces of an experiment in a folder."""

    experiment: Experiment
    out: Path
    measure: Callable[[Layer], float | None]  # training settings -> seconds a step, None where it cannot be measured

    def __post_init__(self) -> None:
        self._paces: dict[str, tuple[float, str]] = {}
        self._measured: dict[str, float | None] = {}

    def all(self, jobs: list[Job]) -> list[Estimate]:
        """An estimate for each."""
        ledger = Ledger.of(self.out, jobs)
        return [Estimate(job, True, 0.0, "done") if ledger.is_done(job) else self._of(job, jobs) for job in jobs]

    def _of(self, job: Job, jobs: list[Job]) -> Estimate:
        if job.kind == "train":
            config = yaml.safe_load(next(iter(job.files.values())))
            pace, by = self._pace(job, config)
            left = max(0, (config.get("steps") or 0) - steps_done(self.out / job.run))
            return Estimate(job, False, left * pace + self.experiment.assumed.job_seconds, by)
        known = [took for other in jobs if same_work(job, other) if (took := seconds_taken(self.out, other)) is not None]
        if known:
            return Estimate(job, False, statistics.median(known), "measured")
        return Estimate(job, False, self._assumed(job), "assumed")

    def _pace(self, job: Job, config: Layer) -> tuple[float, str]:
        """Seconds a step: of this run, of another seed of the stage, of a few steps made now, or assumed."""
        stage = stage_of(job)
        if (own := step_seconds(self.out / job.run)) is not None:
            return own, "its own steps"
        if stage not in self._paces:
            others = [step_seconds(run) for run in sorted((self.out / "runs").glob(f"{stage}-*"))]
            known = [pace for pace in others if pace is not None]
            if known:
                self._paces[stage] = statistics.median(known), "steps of another seed"
            elif (pace := self._measure(config)) is not None:
                self._paces[stage] = pace, f"{STEPS} steps measured now"
            else:
                self._paces[stage] = self.experiment.assumed.step_seconds, "assumed"
        return self._paces[stage]

    def _measure(self, config: Layer) -> float | None:
        """Measured once for all trainings that differ in what they start from and read alone: their rows are as long."""
        own = dict.fromkeys(("model", "out", "seed", "steps", "validation"))
        same = hash_json({**config, **own, "data": {**config["data"], "plan": ""}})
        if same not in self._measured:
            self._measured[same] = self.measure(config)
        return self._measured[same]

    def _assumed(self, job: Job) -> float:
        assumed = self.experiment.assumed
        work = {
            "data": assumed.pictures / assumed.pictures_per_second / max(1, len(self.experiment.data)),
            "evaluate": self._asks(job) / assumed.asks_per_second if job.kind == "evaluate" else 0.0,
        }
        return assumed.job_seconds + work.get(job.kind, 0.0)

    def _asks(self, job: Job) -> float:
        """Items that an evaluation asks: as the benchmarks have them, or as they are expected to."""
        evaluation = job.name.split("/")[1]
        asked, names = self.experiment.evaluate[evaluation], self.experiment.asked(evaluation)
        cells = ((name, condition, shots) for name in names for condition in asked.conditions for shots in asked.shots)
        each = dict.fromkeys((name, condition, 0 if condition == "none" else shots) for name, condition, shots in cells)
        return sum(self._items(name, shots, asked.limit) for name, _, shots in each)

    def _items(self, bench: str, shots: int, limit: int | None) -> float:
        counts = _read(self.out / "benches" / bench / BENCH).get("counts", {}).get(str(shots))
        if counts is None:
            arrangements = self.experiment.assumed.arrangements
            counts = {"groups": self.experiment.assumed.groups, "items": self.experiment.assumed.groups * arrangements}
        return float(counts["items"] * min(1.0, (limit or counts["groups"]) / counts["groups"]))


def finish_of(estimates: list[Estimate], at_once: int) -> float:
    """Seconds until all is done: every job begins in its turn as soon as its needs are done and a place is free."""
    ends: dict[str, float] = {one.job.name: 0.0 for one in estimates if one.done}
    places = [0.0] * at_once
    for one in (one for one in estimates if not one.done):
        ready = max((ends.get(need, 0.0) for need in one.job.needs), default=0.0)
        place = min(range(at_once), key=lambda at: (max(places[at], ready), -places[at]))
        places[place] = ends[one.job.name] = max(places[place], ready) + one.seconds
    return max([*ends.values(), 0.0])


def stage_of(job: Job) -> str:
    """train/coherent-0 -> coherent."""
    return job.name.removeprefix("train/").rpartition("-")[0]


def same_work(job: Job, other: Job) -> bool:
    """Whether another's seconds tell this one's: the same job before a change, or the same questions to another model."""
    if job.kind == "evaluate" == other.kind:
        return job.name.split("/")[1] == other.name.split("/")[1]
    return job.name == other.name


def seconds_taken(out: Path, job: Job) -> float | None:
    """What a job took when it was last done, whatever has changed since."""
    row = _read(out / DONE / f"{job.name}.json")
    took = row.get("seconds")
    return float(took) if isinstance(took, int | float) else None


def measured_step(out: Path, config: Layer) -> float | None:
    """Seconds a step of a training, of a few steps made now on the untrained model; None where plan or model are not there."""
    if not (out / str(config["data"]["plan"]) / "plan.json").exists() or not (out / MODEL / "config.json").exists():
        return None
    rows = few_steps(out, laid_over(config, {"model": MODEL}))
    return statistics.median(float(row["step_s"]) for row in rows) if rows else None


def _read(place: Path) -> Layer:
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
