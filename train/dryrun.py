"""What a run would be, without reading a weight: parameters, memory by rank, steps and tokens.

Mistakes come out in the order in which they are cheap to find: settings, folders and plans before anything is imported
that takes seconds, then the processor, then the model on the meta device.
"""

import os
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.shards.plans import Plan
from train.config import TrainConfig
from train.folder import check_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.epoch import Epoch
    from train.memory import MicroBatch
    from train.model.parts import Parts


@dataclass(frozen=True)
class DryRun:
    """What a run would be."""

    model: str
    parts: dict[str, dict[str, int]]  # part -> {"parameters", "trained"}; adapters count where they are
    world: int
    memory: dict[
        str, float
    ]  # bytes of one rank: weights, gradients, optimizer, gathered, checkpoint_copy, program, activations, all
    loading: float  # bytes of one rank on the host while weights are read
    epoch: "Epoch"
    steps: int
    steps_by_epoch: int
    micro_batches: int  # of a step, on each rank

    @property
    def trained(self) -> float:
        """Share of the parameters that learn."""
        total = sum(part["parameters"] for part in self.parts.values())
        return sum(part["trained"] for part in self.parts.values()) / max(1, total)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {**asdict(self), "trained_share": self.trained}

    def table(self) -> list[tuple[str, str]]:
        """Lines for people: (what, how much)."""
        total, learning = (sum(part[key] for part in self.parts.values()) for key in ("parameters", "trained"))
        epoch, about = self.epoch, "" if self.epoch.exact else "about "
        rows = [("parameters", _count(total)), ("  of which learn", f"{_count(learning)} ({self.trained:.2%})")]
        rows += [(f"  {name}", _of_part(part)) for name, part in self.parts.items() if part["parameters"]]
        rows.append((f"memory of one rank of {self.world}, estimated", _bytes(self.memory["all"])))
        memory = {name.replace("_", " "): size for name, size in self.memory.items() if name != "all" and size}
        rows += [(f"  {name}", _bytes(size)) for name, size in memory.items()]
        rows += [("  on the host while loading", _bytes(self.loading)), ("steps", f"{about}{self.steps:,}")]
        rows += [
            ("  of one epoch", f"{about}{self.steps_by_epoch:,}"),
            ("  micro-batches of a step", f"{self.micro_batches:,}"),
        ]
        rows += [("samples of an epoch", f"{epoch.samples:,}")]
        rows += [("  that cannot be used", f"{about}{epoch.unusable:,}")] if epoch.unusable else []
        kinds = {"tokens": epoch.tokens, "  supervised": epoch.supervised, "  of pictures": epoch.image_tokens}
        rows += [(name, f"{about}{_count(value)}") for name, value in {**kinds, "pictures": epoch.images}.items()]
        return [*rows, ("counted by", epoch.counted_by)]


def dry_run(config: TrainConfig, world: int | None = None) -> DryRun:
    """Builds everything on the meta device; a wrong setting raises what the run itself would raise.

    `world` ranks; null: as many as torchrun started.
    """
    world = world or int(os.environ.get("WORLD_SIZE", "1"))
    config.parallel.check(world)
    check_folder(config)
    plans = [Plan.open(place) for place in (config.data.plan, *([config.validation.plan] if config.validation else []))]
    _check_place(config.model)
    return _built(config, plans[0], world)


def _check_place(model: str) -> None:
    """InputError, before anything is imported, for a model that is a path and not there."""
    from train.model.places import check

    if not Path(model).is_dir():
        check(model, "a vision-language model")


def _built(config: TrainConfig, plan: Plan, world: int) -> DryRun:
    from train.checkpoint import weights_of
    from train.data.rendering import Renderer
    from train.epoch import count_epoch
    from train.model.aim.loading import with_projection
    from train.model.loading import empty_model, use_attention
    from train.model.parts import counts, parts_of
    from train.model.tuning import prepare

    model = empty_model(config.model, config.remote_code)
    use_attention(model, "sdpa" if config.compute.attention in ("auto", "segmented") else config.compute.attention)
    with_projection(model, config)
    parts = parts_of(model)
    loading = 4.0 * sum(parameter.numel() for parameter in model.parameters())
    model = prepare(model, parts, config)
    counted = counts(model, parts)
    renderer = Renderer.load(weights_of(config.model).base, config.data.render)
    settings = config.training.load
    epoch = count_epoch(plan, renderer, settings)
    memory = _memory(config, model, parts, _micro_batch(config, epoch), world)
    return DryRun(
        model=type(model).__name__,
        parts=counted,
        world=world,
        memory=memory,
        loading=loading,
        epoch=epoch,
        steps=config.steps or ceil(epoch.rows_of_all / settings.batch),
        steps_by_epoch=ceil(epoch.rows / settings.batch),
        micro_batches=ceil(ceil(settings.batch / world) / settings.micro_batch),
    )


def _memory(
    config: TrainConfig, model: "PreTrainedModel", parts: "Parts", batch: "MicroBatch", world: int
) -> dict[str, float]:
    from train.memory import Layout, memory

    sharded = world > 1 or config.parallel.shard == "always"
    layout = Layout(world // config.parallel.replicas if sharded else 1, sharded, config.parallel.frozen == "replicated")
    return memory(model, parts, config, batch, layout)


def _micro_batch(config: TrainConfig, epoch: "Epoch") -> "MicroBatch":
    """Packed rows are as long as may be; others as the mean episode, so that their largest needs more."""
    from train.memory import MicroBatch

    rows, load = max(1, epoch.rows), config.data.load
    fixed = load.packing or config.compute.compile or bool(config.data.pad_rows)
    length = config.data.max_tokens if fixed else max(1, epoch.tokens // rows)
    return MicroBatch(load.micro_batch, length, epoch.supervised / rows, epoch.images / rows)


def _of_part(part: dict[str, int]) -> str:
    learning = part["trained"]
    said = "frozen" if not learning else "all learn" if learning == part["parameters"] else f"{_count(learning)} learn"
    return f"{_count(part['parameters'])}, {said}"


def _count(value: float) -> str:
    for size, sign in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if value >= size:
            return f"{value / (1e3 if sign == ' k' else size):,.2f}{sign}"
    return f"{value:,.0f}"


def _bytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size / 1e6:.2f} MB"
