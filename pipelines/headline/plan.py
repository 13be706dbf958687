"""From an experiment to its jobs, in an order in which each stands behind what it needs."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.settings import read_yaml
from pipelines.headline.settings import Experiment, require_file
from pipelines.jobs.job import Job, curate
from pipelines.jobs.layers import Layer, dumped, laid_over
from pipelines.jobs.processes import cores

MODEL = "model"
"""The assembled model: its folder, and its name among the stages."""


@dataclass(frozen=True)
class Planner:
    """One experiment and the folder of its files: data/, mix/ and the specs of benchmarks."""

    experiment: Experiment
    recipe: Path

    def jobs(self) -> list[Job]:
        """Everything, from samples to the report."""
        return [*self._samples(), *self._data(), self._model(), *self._plans(), *self._benches(), *self._rest()]

    def _rest(self) -> Iterator[Job]:
        """Trainings and evaluations seed by seed, so that a first result is there early."""
        evaluations = []
        for seed in self.experiment.seeds:
            for stage in (MODEL, *self.experiment.stages):
                if seed not in self.experiment.seeds_of(stage):
                    continue
                if stage != MODEL:
                    yield self._training(stage, seed)
                for job in self._evaluations(stage, seed):
                    evaluations.append(job)
                    yield job
        yield self._report(evaluations)

    @property
    def threads(self) -> int:
        """Of one command: its share of the cores."""
        return max(1, cores() // self.experiment.jobs)

    def _samples(self) -> Iterator[Job]:
        if self.experiment.samples:
            yield Job("samples", "samples", curate("samples", "fetch", *self.experiment.samples))

    def _data(self) -> Iterator[Job]:
        needs = ("samples",) if self.experiment.samples else ()
        for name in self.experiment.data:
            file = f"specs/data/{name}.yaml"
            until = self.experiment.until.get(name, "report")
            words = (file, "--out", f"data/{name}", "--until", until, "--workers", self.threads)
            argv = curate("build-episodes", *words)
            yield Job(f"data/{name}", "data", argv, needs, {file: self._data_spec(name)})
        for name, origin in self.experiment.unrelated.items():
            argv = ("pipelines.headline.unrelated", f"data/{origin}", "--out", f"data/{name}")
            yield Job(f"data/{name}", "data", argv, (f"data/{origin}",))

    def _data_spec(self, name: str) -> str:
        file = self.recipe / "data" / f"{self.experiment.like.get(name, name)}.yaml"
        spec = read_yaml(require_file(file, f"data names {name!r}"))
        for source in spec.get("sources", []):
            source["settings"] = laid_over(source.get("settings", {}), self.experiment.sources.get(source["name"], {}))
        return dumped(laid_over(spec, self.experiment.over.get(name, {})))

    def _model(self) -> Job:
        model = self.experiment.model
        words = ["--vision", model.vision, "--lm", model.lm, "--grid", model.grid, "--seed", model.seed, "--out", MODEL]
        words += [word for name in model.pairs for word in ("--pairs", f"data/{name}")]
        return Job(MODEL, "model", curate("assemble", *words), tuple(f"data/{name}" for name in model.pairs))

    def _plans(self) -> Iterator[Job]:
        for name, plan in self.experiment.plans.items():
            file = f"specs/mix/{name}.yaml"
            stem = plan.spec or name
            spec = read_yaml(require_file(self.recipe / "mix" / f"{stem}.yaml", f"plans.{name}"))
            spec = laid_over(spec, plan.set)
            files, words, needs = {file: dumped(spec)}, [file, "--out", f"plans/{name}"], [*self._drawn_from(spec)]
            if plan.fit:
                config = f"configs/fit-{plan.fit}.yaml"
                files[config] = dumped({**self._config(plan.fit, self.experiment.seeds[0]), "model": MODEL})
                words += ["--fit", config]
                needs.append(MODEL)
            if plan.size_of:
                words += ["--size-of", f"plans/{plan.size_of}"]
                needs.append(f"plans/{plan.size_of}")
            argv = ("pipelines.headline.fitting", *words, *(["--materialise"] if plan.materialise else []))
            needed = tuple(dict.fromkeys(needs))
            yield Job(f"plans/{name}", "plan", argv, needed, files, alone_in="plans/catalogue")

    def _drawn_from(self, spec: Layer) -> Iterator[str]:
        """Jobs that make what a mix draws from: its places are relative to specs/mix."""
        for source in spec.get("sources", []):
            place = source.get("run") or source.get("demonstrations") or source.get("shards") or ""
            yield os.path.normpath(os.path.join("specs/mix", place))

    def _benches(self) -> Iterator[Job]:
        for name, group in self.experiment.benches.items():
            file = f"specs/{group.spec}.yaml"
            spec = read_yaml(require_file(self.recipe / f"{group.spec}.yaml", f"benches.{name}"))
            needs = tuple(f"{'plans' if place in self.experiment.plans else 'data'}/{place}" for place in group.data)
            argv = curate("bench", "build", file, "--out", "benches")
            yield Job(f"benches/{name}", "benches", argv, needs, {file: dumped(laid_over(spec, group.set))})

    def _config(self, stage: str, seed: int) -> Layer:
        """The settings of a training: what all share, what the stage says, and what the experiment knows."""
        known = self.experiment.stages[stage]
        own: Layer = {"stage": "icl", "compute": {"threads": self.threads}}
        config = laid_over(laid_over(own, self.experiment.train), known.config)
        model = MODEL if known.model == MODEL else self.run_of(known.model, seed)
        fixed = {"model": model, "out": self.run_of(stage, seed), "seed": seed, "data": {"plan": f"plans/{known.plan}"}}
        return laid_over(config, fixed)

    def run_of(self, stage: str, seed: int) -> str:
        """The folder of a stage's model for a seed."""
        if stage == MODEL:
            return MODEL
        seeds = self.experiment.seeds_of(stage)
        return f"runs/{stage}-{seed if seed in seeds else seeds[0]}"

    def _job_of(self, stage: str, seed: int) -> str:
        return MODEL if stage == MODEL else f"train/{self.run_of(stage, seed).removeprefix('runs/')}"

    def _training(self, stage: str, seed: int) -> Job:
        known, name = self.experiment.stages[stage], f"{stage}-{seed}"
        config, file = self._config(stage, seed), f"configs/{name}.yaml"
        needs = [self._job_of(known.model, seed), f"plans/{known.plan}"]
        needs += [held] if (held := (config.get("validation") or {}).get("plan")) else []
        return Job(
            f"train/{name}", "train", curate("train", file), tuple(needs), {file: dumped(config)}, run=self.run_of(stage, seed)
        )

    def _evaluations(self, stage: str, seed: int) -> Iterator[Job]:
        before: list[str] = []
        for name, asked in self.experiment.evaluate.items():
            if stage not in asked.stages:
                continue
            model = self.run_of(stage, seed)
            label = MODEL if stage == MODEL else f"{stage}-{seed}"
            names = self.experiment.asked(name)
            benches = [f"benches/{bench}" for bench in names]
            name_of = MODEL if stage == MODEL else f"{stage}-seed-{seed}"  # curate report folds seeds of a name into one model
            words: list[Any] = [model, *benches, "--out", f"evaluations/{label}", "--name", name_of]
            words += ["--shots", ",".join(map(str, asked.shots)), "--conditions", ",".join(asked.conditions)]
            words += ["--limit", asked.limit] if asked.limit else []
            words += [word for key, value in asked.settings.items() for word in ("--set", f"{key}={value}")]
            groups = dict.fromkeys(f"benches/{self.experiment.group_of[bench]}" for bench in names)
            needs = (self._job_of(stage, seed), *groups, *before)
            before = [f"evaluate/{name}/{label}"]  # both add to one folder
            yield Job(before[0], "evaluate", curate("evaluate", *words), needs)

    def _report(self, evaluations: list[Job]) -> Job:
        places = dict.fromkeys(f"evaluations/{job.name.rpartition('/')[2]}" for job in evaluations)
        argv = curate("report", *places, "--out", "report.html", "--against", self.experiment.claim.references[0])
        return Job("report", "report", argv, tuple(job.name for job in evaluations))
