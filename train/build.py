"""A config to everything that the loop needs, in the order in which mistakes are cheap: folder, data, model, optimiser."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from curate.shards.plans import Plan
from train.checkpoint import Checkpoints
from train.config import DataSettings, TrainConfig
from train.data.collate import Collate, CollateSettings
from train.data.lengths import Lengths, measure
from train.data.loader import Loader, LoaderSettings
from train.data.rendering import Renderer
from train.folder import check_folder, digest_of, processor_of, write_run
from train.metrics import Flops, Watch
from train.model.loading import load_model
from train.model.parts import parts_of
from train.model.tuning import groups, prepare
from train.optimizer import Schedule, adamw
from train.parallel.sharding import distribute
from train.validation import Validation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.parallel.ranks import Ranks


@dataclass
class Run:
    """A run that is ready to begin, on one rank."""

    config: TrainConfig
    ranks: "Ranks"
    watch: Watch
    data: "Data"
    model: "PreTrainedModel"
    flops: Flops
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    steps: int
    loader: Loader
    checkpoints: Checkpoints
    validation: Validation | None
    trained: list[torch.nn.Parameter] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        """What is trained on."""
        return self.data.plan

    @property
    def out(self) -> Path:
        """The run's folder."""
        return Path(self.config.out)

    @property
    def packed(self) -> bool:
        """Whether rows hold several episodes."""
        return self.config.data.load.packing

    @property
    def digest(self) -> str:
        """Of the settings that shape the curve."""
        return digest_of(self.config)

    def go_on(self, state: Mapping[str, Any]) -> None:
        """The loader begins where a checkpoint stopped."""
        self.loader.close()
        self.loader = self.data.loader(self.ranks, state)


@dataclass(frozen=True)
class Data:
    """A plan with all that makes batches of it."""

    plan: Plan
    settings: LoaderSettings
    renderer: Renderer
    collate: Collate
    lengths: Lengths

    @classmethod
    def of(cls, config: TrainConfig, data: DataSettings, ranks: "Ranks", watch: Watch) -> "Data":
        """The plan opened, its samples measured (once: rank 0 does it, the others find it done)."""
        plan = Plan.open(data.plan)
        renderer = Renderer.load(processor_of(config.model), data.render)
        settings = loader_settings(config, data)
        if not ranks.first:
            ranks.barrier()
        lengths = measure(plan, renderer, max(1, settings.workers), None, settings.max_faults)
        if ranks.first:
            ranks.barrier()
        fixed = config.compute.compile if data.pad_rows is None else data.pad_rows
        collate = Collate(renderer, CollateSettings(pad_to=data.max_tokens if fixed else None, blank=True))
        return cls(plan, settings, renderer, collate, lengths)

    def loader(self, ranks: "Ranks", state: Mapping[str, Any] | None = None) -> Loader:
        """This rank's loader, from the beginning or from where a checkpoint stopped."""
        return Loader(self.plan, self.collate, self.settings, self.lengths, ranks.rank, ranks.world, state)


def loader_settings(config: TrainConfig, data: DataSettings) -> LoaderSettings:
    """The loader's settings as the run needs them: its seed, and no end where the run counts steps."""
    own = {} if "seed" in data.load.model_fields_set else {"seed": config.seed}
    return data.load.model_copy(update=own | ({"epochs": None} if config.steps else {}))


@contextmanager
def opened(config: TrainConfig, ranks: "Ranks", watch: Watch) -> Iterator[Run]:
    """Everything of a run; workers are ended with the block. ConfigError or InputError before anything is written."""
    check_folder(config)
    data = Data.of(config, config.data, ranks, watch)
    validation = Validation.of(config, ranks, watch) if config.validation else None
    watch.note(f"loading {config.model}")
    model = load_model(config.model, config.compute, config.remote_code)
    parts = parts_of(model)
    model = prepare(model, parts, config)
    flops = Flops.of(model, parts)
    distribute(model, parts, config.compute, config.parallel, ranks)
    optimizer = adamw(groups(model, parts, config), config.optimizer)
    if ranks.first:
        write_run(config, model.config, data.renderer.processor)
    loader = data.loader(ranks)
    steps = config.steps or loader.count_steps()
    run = Run(
        config, ranks, watch, data, model, flops, optimizer, Schedule(config.optimizer, steps), steps, loader,
        Checkpoints(Path(config.out) / "checkpoints", config.checkpoint, ranks), validation,
        [parameter for group in optimizer.param_groups for parameter in group["params"]],
    )  # fmt: skip
    try:
        yield run
    finally:
        run.loader.close()
