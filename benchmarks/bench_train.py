"""A training step of ours beside a bare PyTorch loop, packed beside unpacked, and transformers.Trainer.

    python benchmarks/bench_train.py MODEL [RUN] [--part step|plans|all] [--repeats 3]

MODEL is a folder that `curate assemble` made, RUN a finished run with shards (by default `runs/demo` of `curate
demo --out runs/demo`). From its episodes a plan of 0 to 8 shots in equal shares is drawn into a temporary folder.
Everybody trains language model and projector whole in bfloat16 under autocast, the tower frozen, with AdamW.

step    the same rows go through our loop, through a bare loop that computes all logits, and through one that computes
        the needed ones only; ours and the bare loops' model lie in one process, and all take turns at every step.
plans   once through all samples of the plan, so that everybody learns from the same tokens: ours packed, ours unpacked
        at three sizes of micro-batch, transformers.Trainer with a collator that lets the processor pad. They take turns
        in an order drawn anew; the first steps of a turn, for which worker processes start, do not count.
"""

import argparse
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from common import say_machine
from torch.nn import functional
from train_rival import Rival

from curate.mixture.build import build_plan, mixing
from curate.mixture.settings import MixSpec
from curate.mixture.sources import open_source
from curate.settings import build
from curate.shards.plans import Plan
from curate.storage import Folder
from train.build import Run, opened
from train.config import TrainConfig
from train.data.loader import Loader
from train.data.records import Batch
from train.datasets import Data
from train.loop import Loop
from train.metrics import Silent
from train.model.loading import load_model
from train.parallel.ranks import Ranks, started
from train.signals import Asked

SHOTS = (0, 1, 2, 4, 8)
LR = 1e-5


@dataclass
class Timed:
    """Seconds of each step, and the supervised tokens that it learned from."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def add(self, seconds: float, tokens: int) -> None:
        self.seconds.append(seconds)
        self.tokens.append(tokens)

    def without(self, warm: int) -> "Timed":
        return Timed(self.seconds[warm:], self.tokens[warm:])

    @property
    def rate(self) -> float:
        """Supervised tokens a second over all steps."""
        return sum(self.tokens) / sum(self.seconds)


class Fed:
    """Stands where the loop expects its loader: serves steps and takes the time until the loop asks for the next."""

    def __init__(
        self, loader: Any, steps: Iterator[list[Batch]], timed: Timed, between: Callable[[list[Batch]], None]
    ) -> None:
        self._loader, self._steps, self._timed, self._between = loader, steps, timed, between

    def __iter__(self) -> Iterator[list[Batch]]:
        began = time.perf_counter()
        for batches in self._steps:
            yield batches
            self._timed.add(time.perf_counter() - began, supervised(batches))
            self._between(batches)
            began = time.perf_counter()  # fetching the next batch counts, what happened between does not

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def supervised(batches: Sequence[Batch]) -> int:
    return sum(int((batch.weights > 0).sum()) for batch in batches)


def config_of(arguments: argparse.Namespace, plan: Path, out: Path, **load: Any) -> TrainConfig:
    """A run that never ends by itself, saves nothing and draws nothing; it logs every ten steps as runs do."""
    given = {
        "model": arguments.model, "out": str(out), "stage": "instruct", "steps": 1_000_000,
        "data": {"plan": str(plan), "max_tokens": arguments.max_tokens, "load": {"workers": 1, **load}},
        "optimizer": {"lr": LR, "schedule": "constant", "warmup": 0}, "checkpoint": {"every": 1_000_000},
        "compute": {"threads": arguments.threads}, "log": {"tensorboard": False},
    }  # fmt: skip
    return build(TrainConfig, given, "the benchmark")


def mixed_plan(arguments: argparse.Namespace, folder: Path) -> Path:
    """0 to 8 shots, as many samples of each."""
    quota = {"axis": "shots", "shares": {str(shots): 1 for shots in SHOTS}}
    size, seed = arguments.samples, arguments.seed
    given = {"sources": [{"name": "run", "run": arguments.run}], "quotas": [quota], "size": size, "seed": seed, "tolerance": 2}
    spec = build(MixSpec, given, "the mix")
    place = Folder.of(str(folder / "plan"))
    build_plan(spec, [open_source(source, spec, source.run) for source in spec.sources], mixing(place, workers=1))
    return folder / "plan"


# ---- the step -------------------------------------------------------------------------------------------------------


class Bare:
    """What one would write without us: forward, loss, backward, clip, AdamW."""

    only_needed = True

    def __init__(self, place: str, config: TrainConfig) -> None:
        self.model = load_model(place, config.compute).train()
        self.model.requires_grad_(True)
        self.model.model.vision_tower.requires_grad_(False).eval()
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        settings = config.optimizer
        self.optimizer = torch.optim.AdamW(self.trained, lr=LR, betas=settings.betas, weight_decay=0.0, fused=True)
        self.clip = settings.clip

    def step(self, batches: Sequence[Batch]) -> None:
        total = sum(float(batch.weights.sum()) for batch in batches)
        for batch in batches:
            (self._loss(batch) / total).backward()
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _loss(self, batch: Batch) -> torch.Tensor:
        segments = batch.segments
        mask = (segments[:, None, :, None] == segments[:, None, None, :]).tril()
        targets, weights = batch.labels[:, 1:], batch.weights[:, 1:]
        keep: Any = (targets != -100).any(0).nonzero()[:, 0] if self.only_needed else 0
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(**batch.inputs, attention_mask=mask, use_cache=False, logits_to_keep=keep).logits
        if self.only_needed:
            targets, weights = targets[:, keep], weights[:, keep]
        else:
            logits = logits[:, :-1]
        losses = functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none", ignore_index=-100)
        return (losses * weights.flatten()).sum()


def compare_steps(arguments: argparse.Namespace, plan: Path, folder: Path, ranks: Ranks) -> None:
    config = config_of(arguments, plan, folder / "step", batch=arguments.rows, micro_batch=arguments.micro)
    dice = random.Random(arguments.seed)
    with opened(config, ranks, Silent(), Asked()) as run:
        bare, rivals = Bare(arguments.model, config), {"bare, needed logits": True, "bare, all logits": False}
        timed = {name: Timed() for name in ("ours", *rivals)}
        steps = [batches for batches, _ in zip(run.loader, range(arguments.steps), strict=False)]
        run.loader.close()

        def rivals_too(batches: list[Batch]) -> None:
            for name in dice.sample(sorted(rivals), len(rivals)):
                bare.only_needed = rivals[name]
                began = time.perf_counter()
                bare.step(batches)
                timed[name].add(time.perf_counter() - began, supervised(batches))

        rounds = [batches for _ in range(arguments.repeats) for batches in dice.sample(steps, len(steps))]
        order = [steps[0]] * arguments.warm + rounds
        run.loader = Fed(run.loader, iter(order), timed["ours"], rivals_too)  # type: ignore[assignment]
        Loop(run, Asked()).go()
    shown = {name: one.without(arguments.warm) for name, one in timed.items()}
    title = f"a step of {arguments.rows} rows of at most {arguments.max_tokens} positions, the same for all"
    print(f"\n{title}; {len(rounds)} steps each, {arguments.warm} before them left out")
    print(f"{'':24}{'median s':>10}{'least s':>10}{'ours / it':>12}{'range of ratios':>20}")
    ours = shown["ours"].seconds
    for name, one in shown.items():
        ratios = [mine / theirs for mine, theirs in zip(ours, one.seconds, strict=True)]
        middle, low, high = statistics.median(ratios), *quartiles(ratios)
        print(f"{name:24}{statistics.median(one.seconds):10.3f}{min(one.seconds):10.3f}{middle:12.3f}{low:12.3f}-{high:.3f}")


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4)
    return low, high


# ---- plans ----------------------------------------------------------------------------------------------------------


@dataclass
class Ours:
    """Our trainer, once through the plan in a turn, its samples in another order each time."""

    run: Run

    def turn(self, seed: int, most: int | None = None) -> Timed:
        data, timed, plain = self.run.data, Timed(), self.run.loader
        settings = data.settings.model_copy(update={"epochs": 1, "seed": seed})
        with Loader(data.plan, data.collate, settings, data.lengths) as loader:
            self.run.loader = Fed(loader, itertools.islice(loader, most), timed, lambda batches: None)  # type: ignore[assignment]
            try:
                Loop(self.run, Asked()).go()
            finally:
                self.run.loader = plain
        return timed


def compare_plans(arguments: argparse.Namespace, plan: Path, folder: Path, ranks: Ranks) -> None:
    rows, micro, samples = arguments.rows, arguments.micro, Plan.open(str(plan))
    packed = config_of(arguments, plan, folder / "packed", batch=rows, micro_batch=micro)
    with opened(packed, ranks, Silent(), Asked()) as first:
        each = episodes_a_row(first)
        batch = max(1, round(rows * each))  # as many episodes a step as the packed rows hold
        contenders: dict[str, Any] = {"ours, packed": Ours(first)}
        for size in sorted({1, micro, max(micro, round(micro * each))}):
            config = config_of(arguments, plan, folder / "unpacked", batch=batch, micro_batch=size, packing=False)
            data = Data.of(config, config.training, ranks, Silent(), Asked())
            contenders[f"ours, unpacked by {size}"] = Ours(replace(first, config=config, data=data))
        if not arguments.no_trainer:
            contenders["transformers.Trainer"] = Rival(arguments.model, samples, packed, micro, -(-batch // micro), folder)
        found = turns(contenders, arguments)
    size = f"{len(samples)} samples, {each:.1f} in a row of {arguments.max_tokens}"
    print(f"\nonce through {size}; {batch} samples a step unpacked")
    print(f"{'':28}{'s a step':>10}{'supervised tokens/s':>22}{'ours packed / it':>18}{'range of ratios':>18}")
    ours = found["ours, packed"]
    for name, times in found.items():
        ratios = [mine.rate / theirs.rate for mine, theirs in zip(ours, times, strict=True)]
        middle, low, high = statistics.median(ratios), *quartiles(ratios)
        step = statistics.median([second for one in times for second in one.seconds])
        rate = statistics.median([one.rate for one in times])
        print(f"{name:28}{step:10.3f}{rate:22.1f}{middle:18.2f}{low:12.2f}-{high:.2f}")


def episodes_a_row(run: Run) -> float:
    """On average over the plan's first window."""
    rows = run.loader.rows.of(0, 0)
    return sum(map(len, rows)) / len(rows)


def turns(contenders: dict[str, Any], arguments: argparse.Namespace) -> dict[str, list[Timed]]:
    """Every repeat all contenders take a turn, in a new order, after a first one of a few steps that does not count. The
    first steps of each turn, for which worker processes start and import, do not count either."""
    dice, found = random.Random(arguments.seed), {name: list[Timed]() for name in contenders}
    for contender in contenders.values():
        contender.turn(arguments.seed, arguments.warm)
    for repeat in range(arguments.repeats):
        for name in dice.sample(sorted(contenders), len(contenders)):
            timed = contenders[name].turn(arguments.seed + repeat).without(arguments.warm)
            found[name].append(timed)
            print(f"  {repeat + 1}: {name}: {sum(timed.tokens)} tokens, {timed.rate:.1f} a second", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the model")
    parser.add_argument("run", nargs="?", default="runs/demo", help="run with shards of episodes of 0 to 8 shots")
    parser.add_argument("--part", choices=("step", "plans", "all"), default="all")
    parser.add_argument("--rows", type=int, default=4, help="packed rows of a step")
    parser.add_argument("--micro", type=int, default=4, help="rows computed at a time")
    parser.add_argument("--max-tokens", type=int, default=1024)
    parser.add_argument("--samples", type=int, default=48, help="samples of the plan")
    parser.add_argument("--steps", type=int, default=4, help="steps of the plan that the part `step` repeats")
    parser.add_argument("--warm", type=int, default=1, help="steps before the clock starts")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-trainer", action="store_true", help="leave transformers.Trainer out")
    arguments = parser.parse_args()
    say_machine("torch", "transformers", "accelerate")
    with tempfile.TemporaryDirectory() as folder:
        plan = mixed_plan(arguments, Path(folder))
        some = config_of(arguments, plan, Path(folder))
        with started(some.parallel, some.compute) as ranks:
            print(f"{torch.get_num_threads()} threads, {len(Plan.open(str(plan)))} samples of {SHOTS} shots")
            if arguments.part in ("step", "all"):
                compare_steps(arguments, plan, Path(folder), ranks)
            if arguments.part in ("plans", "all"):
                compare_plans(arguments, plan, Path(folder), ranks)


if __name__ == "__main__":
    main()
