"""The training loop: steps, and what happens between them.

A step takes the micro-batches that the loader deals to this rank, adds up the gradients of their losses, each
divided by the supervised weight of the whole step over all ranks, and takes one step of the optimiser. Between
steps the loop tells, validates, saves, and ends when it is done or asked to. All that a later step depends on is
in the weights, the optimiser, the loader's state and the number of the step: an interrupted run that goes on
has the curve of one that was never interrupted.
"""

import json
import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from curate.seeding import seed_of
from curate.storage import Folder
from train.breakdown import Breakdown, Totals
from train.build import Run, opened
from train.config import TrainConfig
from train.data.records import Batch
from train.data.state import LoaderState
from train.folder import SUMMARY
from train.guard import Guard
from train.loss import Targets, token_losses
from train.memory_errors import explained
from train.metrics import Logbook, Meter, Row, Silent, Watch, peak_flops, profiled
from train.parallel.ranks import started
from train.parallel.sharding import autocast, clip
from train.signals import Asked, Decision, Stopped, asked_to_stop

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@dataclass(frozen=True)
class Summary:
    """How a run ended."""

    step: int
    steps: int
    signal: int  # that ended it early, else 0 (also where `until` did)
    tokens: int  # supervised, learned from
    skipped: int  # steps without a finite loss or gradient
    figures: dict[str, float]  # the last of each: loss, validation.loss, ...
    seconds: float  # of this process

    @property
    def exit_code(self) -> int:
        """0 when all was done or SIGTERM ended it, as schedulers want it; 130 after Ctrl-C."""
        return INTERRUPTED if self.signal == signal.SIGINT else 0


def train(config: TrainConfig, watch: Watch | None = None) -> Summary:
    """Trains a stage from its beginning or from its latest checkpoint, on as many ranks as torchrun started.

    Errors that a user can mend are ShotcraftErrors; QualityError when training cannot go on (no finite loss, damaged data).
    """
    watch = watch or Silent()
    with started(config.parallel, config.compute) as ranks, asked_to_stop() as asked:
        told = watch if ranks.first else Silent()
        try:
            with opened(config, ranks, told, asked) as run:
                return Loop(run, asked).go()
        except Stopped:
            return Summary(0, 0, asked.signal, 0, 0, {}, 0.0)


class Loop:
    """One run on one rank."""

    def __init__(self, run: Run, asked: Asked) -> None:
        self.run, self._asked, self._began = run, asked, time.monotonic()
        ranks, config = run.ranks, run.config
        peak = peak_flops(ranks.device, config.compute.dtype, config.log.peak_tflops)
        self._losses = Breakdown(run.plan, ranks.device)
        self._meter = Meter(ranks, run.flops, run.steps, peak, run.data.lengths.images)
        facts = {"config": run.digest, "seed": config.seed, "world": ranks.world}
        self._guard = Guard(run.out, config.max_bad_steps, run.plan, facts, ranks.rank)
        self._figures: dict[str, tuple[int, float]] = {}  # the last of each, and its step
        self._tokens = 0  # supervised ones that were learned from, up to the last row of the log
        self.step = self._resumed()
        self._logbook = Logbook(run.out, ranks.first, self.step, config.log.tensorboard)
        self._stop = Decision(ranks, asked)

    def go(self) -> Summary:
        """All steps that are left."""
        run, log = self.run, self.run.config.log
        run.watch.begin(self.step, run.steps)
        with self._logbook, profiled(log.profile, run.out, run.ranks.rank) as profile:
            for batches in self._batches():
                profile(self.step)
                with explained():
                    self._step(batches)
                    self._tell()
                    validated = self._validate()
                self._save(validated)
                if self._ended():
                    break
            run.checkpoints.wait()
        run.watch.close()
        return self._summary()

    def _batches(self) -> Iterator[Sequence[Batch]]:
        """This rank's micro-batches step by step; the time spent waiting for them is told to the meter."""
        if self._ended():
            return
        began = time.perf_counter()
        for batches in self.run.loader:
            self._meter.waited(time.perf_counter() - began)
            yield batches
            began = time.perf_counter()

    def _step(self, batches: Sequence[Batch]) -> None:
        run, ranks = self.run, self.run.ranks
        torch.manual_seed(seed_of(run.config.seed, "dropout", f"{self.step}/{ranks.rank}") >> 1)
        run.schedule.apply(run.optimizer, self.step)
        targets = [Targets.of(batch) for batch in batches]
        weight = sum(float(own.weights.sum(dtype=torch.float64)) for own in targets)
        whole = ranks.sum(torch.tensor(weight, dtype=torch.float64)).item() or 1.0  # a step may have nothing to learn
        losses = [self._backward(batch, own, whole) for batch, own in zip(batches, targets, strict=True)]
        norm = clip(run.trained, run.config.optimizer.clip)
        own_finite = torch.stack([norm, *(own.sum() for own in losses)]).isfinite().all()  # a GPU is waited for once
        finite = ranks.all(bool(own_finite))
        if self._guard.judge(self.step + 1, finite, batches, {} if finite else {"grad_norm": float(norm)}):
            run.optimizer.step()
            for own, found in zip(targets, losses, strict=True):
                self._losses.add(own, found)
        run.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._meter.step(batches, norm)
        run.watch.step(self.step)

    def _backward(self, batch: Batch, targets: Targets, whole: float) -> torch.Tensor:
        """Adds the gradient of a micro-batch; gives its token losses [N]."""
        run, device = self.run, self.run.ranks.device
        with explained(batch):
            there, own = batch.map(lambda tensor: tensor.to(device, non_blocking=True)), targets.to(device)
            losses = token_losses(run.model, there, own, run.packed, autocast(run.config.compute, run.ranks))
            ((losses * own.weights).sum() / whole).backward()
        return losses.detach()

    def _tell(self) -> None:
        run = self.run
        if not self._due(run.config.log.every):
            return
        totals = self._losses.totals(run.ranks)
        self._losses.clear()
        self._tokens += totals.tokens
        figures = self._meter.figures(run.optimizer, self.step)
        self._write("train", totals, figures | {"bad_steps": self._guard.skipped})

    def _validate(self) -> bool:
        """Whether it was time for it."""
        run, settings = self.run, self.run.config.validation
        if settings is None or run.validation is None or not (self._due(settings.every) or self._at_halt()):
            return False
        with self._meter.paused():
            self._write("validation", run.validation.measure(run.model), {})
        return True

    def _write(self, kind: Literal["train", "validation"], totals: Totals, more: Mapping[str, Any]) -> None:
        row: Row = {"step": self.step, "kind": kind, "loss": totals.loss, "losses": totals.losses, "tokens": totals.tokens}
        row |= more  # type: ignore[typeddict-item]
        prefix = "validation." if kind == "validation" else ""
        self._figures |= {f"{prefix}{name}": (self.step, value) for name, value in row.items() if isinstance(value, float)}
        self._logbook.write(row)
        self.run.watch.row(row)

    def _save(self, validated: bool) -> None:
        run, settings = self.run, self.run.config.checkpoint
        judged = validated and (settings.best or "").startswith("validation.")
        if self._due(settings.every) or judged or self._at_halt() or self._stop.wanted(self.step):
            fresh = {name: value if step == self.step else math.nan for name, (step, value) in self._figures.items()}
            with self._meter.paused():
                run.checkpoints.save(self.step, run.model, run.optimizer, self._progress(), fresh)

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.run.steps

    def _at_halt(self) -> bool:
        return self.step == self.run.config.until

    def _ended(self) -> bool:
        return self.step >= min(self.run.steps, self.run.config.until or self.run.steps) or self._stop.wanted(self.step)

    def _progress(self) -> dict[str, Any]:
        """What a checkpoint holds besides tensors. Randomness needs no state: it is a function of the step."""
        run = self.run
        states = [LoaderState.of(state) for state in run.ranks.gather(run.loader.state().as_json())]
        return {
            "step": self.step,
            "loader": LoaderState.merged(states).as_json(),
            "losses": self._losses.state(run.ranks),
            "tokens": self._learned(),
            "guard": self._guard.state(),
            "figures": {name: [step, value] for name, (step, value) in self._figures.items() if math.isfinite(value)},
            "config": run.digest,
            "world": run.ranks.world,
        }

    def _resumed(self) -> int:
        """The step to go on with: behind the latest checkpoint, or 0."""
        run = self.run
        latest = run.checkpoints.latest()
        if latest is None:
            return 0
        progress = run.checkpoints.restore(run.model, run.optimizer, latest)
        run.go_on(progress["loader"])
        self._losses.restore(progress["losses"], run.ranks)
        self._guard.restore(progress["guard"])
        self._tokens = progress["tokens"] - self._losses.totals(run.ranks).tokens  # those are told with the next row
        self._figures = {name: (step, value) for name, (step, value) in progress["figures"].items()}
        run.watch.note(f"going on behind step {progress['step']:,}")
        return int(progress["step"])

    def _learned(self) -> int:
        """Supervised tokens that were learned from; every rank must ask."""
        return self._tokens + self._losses.totals(self.run.ranks).tokens

    def _summary(self) -> Summary:
        run = self.run
        early = self.step < min(run.steps, run.config.until or run.steps)
        number = (self._asked.signal or signal.SIGTERM) if early else 0  # another rank's signal counts as ours
        seconds = round(time.monotonic() - self._began, 1)
        figures = {name: value for name, (_, value) in self._figures.items()}
        summary = Summary(self.step, run.steps, int(number), self._learned(), self._guard.skipped, figures, seconds)
        if run.ranks.first:
            Folder.of(run.config.out).write(SUMMARY, json.dumps(asdict(summary), indent=2).encode())
        return summary
