"""A config to everything that the loop needs, in the order in which mistakes are cheap: folder, data, model, optimiser."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from curate.errors import ConfigError
from curate.shards.plans import Plan
from train.aiming import begin
from train.checkpoint import Checkpoints
from train.config import TrainConfig
from train.data.loader import Loader
from train.datasets import Data
from train.folder import alone_in, check_folder, digest_of, write_config
from train.memory_errors import explained
from train.metrics import Flops, Watch
from train.model.aim.loading import with_projection
from train.model.loading import load_model
from train.model.parts import parts_of
from train.model.tuning import groups, prepare
from train.optimizer import Schedule, adamw
from train.parallel.sharding import distribute
from train.signals import Asked
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
    data: Data
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


@contextmanager
def opened(config: TrainConfig, ranks: "Ranks", watch: Watch, asked: Asked) -> Iterator[Run]:
    """Everything of a run; workers are ended with the block. ConfigError or InputError before anything is written,
    Stopped when `asked` to while the plan is measured."""
    check_folder(config)
    if config.compute.attention == "flex_attention" and ranks.device.type == "cpu":
        raise ConfigError("compute.attention: flex_attention learns on a GPU alone; set it to sdpa or eager")
    data = Data.of(config, config.training, ranks, watch, asked)
    validation = Validation.of(config, ranks, watch, asked)
    watch.note(f"loading {config.model}")
    model = load_model(config.model, config.compute, config.remote_code)
    with_projection(model, config)
    parts = parts_of(model)
    model = prepare(model, parts, config)
    flops = Flops.of(model, parts)
    with explained():
        if config.stage == "aim":
            begin(model.to(ranks.device), data, config, watch)
        distribute(model, parts, config.compute, config.parallel, ranks)
    optimizer = adamw(groups(model, parts, config), config.optimizer)
    loader = data.loader(ranks)
    steps = config.steps or loader.count_steps()
    with alone_in(config.out) if ranks.first else nullcontext():
        if ranks.first:
            write_config(config)
        checkpoints = Checkpoints(Path(config.out) / "checkpoints", config.checkpoint, ranks, watch.note)
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        schedule = Schedule(config.optimizer, steps)
        run = Run(
            config, ranks, watch, data, model, flops, optimizer, schedule, steps, loader, checkpoints, validation, trained
        )
        try:
            yield run
        finally:
            run.loader.close()
            checkpoints.leave()
