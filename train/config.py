"""All settings of a training run, one docstring a field; a run is a YAML file of these.

    model: models/embedded
    out: runs/icl
    stage: icl
    data: {plan: runs/plan, max_tokens: 1024, load: {batch: 8}}

`curate train CONFIG.yaml --set optimizer.lr=1e-4` lays single settings over the file.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from curate.errors import ConfigError
from curate.settings import Settings
from train.data.loader import LoaderSettings
from train.data.rendering.settings import RenderSettings
from train.model.aim.settings import AimSettings

Stage = Literal["align", "instruct", "icl", "aim"]
Training = Literal["frozen", "full", "lora"]


class LoraSettings(Settings):
    """Low-rank adapters (arXiv 2106.09685) in place of full training."""

    rank: int = Field(default=16, gt=0)
    """Rank r of the update BA of every adapted weight."""

    alpha: float = Field(default=32, gt=0)
    """The update is scaled by alpha / rank."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs that are dropped while training."""

    targets: tuple[str, ...] = ()
    """Last names of the linear layers that get adapters, such as q_proj; () for every linear layer matched."""


class PartRule(Settings):
    """How the parameters that a pattern matches are trained; later rules win over earlier ones."""

    match: str
    """vision, projector, language (embeddings and head with it), embeddings, head, all, or a glob over names of parameters or
    modules such as *.layers.2?. Under lora, the head gets an adapter only by a rule that names it."""

    train: Training = "full"
    """frozen, full, or lora (the weights frozen, adapters on their linear layers trained)."""

    lr: float | None = Field(default=None, gt=0)
    """Learning rate of these parameters; null for the optimiser's own."""

    weight_decay: float | None = Field(default=None, ge=0)
    """Weight decay of these parameters; null for the optimiser's own."""


LIMITS = ("max_tokens", "max_images")


class DataSettings(Settings):
    """What is read, and how it becomes rows of tokens."""

    plan: str
    """The plan's folder or URL (curate mix)."""

    max_tokens: int = Field(default=4096, gt=0)
    """Positions of a row, and tokens of an episode at most. Both render and load take it from here."""

    max_images: int | None = Field(default=None, gt=0)
    """Pictures of a row, and of an episode at most."""

    render: RenderSettings = RenderSettings()
    """How an episode is written: mode, loss on which answers, what is dropped when it is too long."""

    load: LoaderSettings = LoaderSettings()
    """How rows become steps: batch, micro_batch, epochs, packing, workers, seed."""

    pad_rows: bool | None = None
    """Give every row max_tokens positions, so that all steps have one shape; null: only when the model is compiled."""

    @model_validator(mode="before")
    @classmethod
    def _one_limit(cls, data: Any) -> Any:
        """max_tokens and max_images of the section hold for rendering and loading, unless these say otherwise."""
        if not isinstance(data, Mapping):
            return data
        limits = {key: data.get(key, cls.model_fields[key].default) for key in LIMITS}
        laid = {
            name: {**limits, **section} for name in ("render", "load") if isinstance(section := data.get(name, {}), Mapping)
        }
        return {**data, **laid}


class ValidationSettings(Settings):
    """A held-out plan whose loss is measured now and then."""

    plan: str
    """The held-out plan's folder or URL; its episodes should share no concept with the training plan."""

    every: int = Field(default=200, gt=0)
    """Steps between two validations; the last step is always validated."""

    samples: int = Field(default=512, gt=0)
    """Samples of the plan that are read, the same ones each time."""


class OptimizerSettings(Settings):
    """AdamW and its schedule."""

    lr: float = Field(default=2e-5, gt=0)
    """Peak learning rate of parts without one of their own."""

    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of the averages of the gradient and of its square."""

    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the second average."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of matrices; vectors (norms, biases) have none."""

    clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of the whole gradient; null for no clipping."""

    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after warm-up."""

    warmup: float = Field(default=0.03, ge=0)
    """Steps of linear warm-up: below 1 a share of all steps, else their number."""

    final: float = Field(default=0.0, ge=0, le=1)
    """Share of the peak that remains at the end."""


class ComputeSettings(Settings):
    """In what numbers, with what kernels."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU of this rank where there is one."""

    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Type of the computation. Trained weights are float32 masters either way, frozen ones are kept in this type."""

    attention: Literal["auto", "sdpa", "eager", "flex_attention", "segmented"] = "auto"
    """Attention function of the language model. auto: `segmented`, which goes episode by episode, on a CPU; `sdpa` on a GPU
    and under `compile`."""

    recompute: Literal["none", "selective", "full"] = "none"
    """Activation checkpointing: nothing, all but matrix products and attention, or whole blocks are computed again."""

    compile: bool = False
    """torch.compile every block; needs rows of one shape, which data.pad_rows then gives."""

    threads: int | None = Field(default=None, gt=0)
    """Threads of one process on a CPU; null: as OMP_NUM_THREADS says, or the cores it may use, shared among the
    ranks of the machine."""

    deterministic: bool = False
    """Ask for deterministic kernels on a GPU, at some cost; on a CPU a run repeats bit for bit anyway."""


class ParallelSettings(Settings):
    """How the model lies on the ranks that torchrun started."""

    replicas: int = Field(default=1, gt=0)
    """Groups that hold the whole model each (HSDP); the ranks of a group shard it among them. 1: plain FSDP."""

    shard: Literal["auto", "always"] = "auto"
    """auto: shard when there are several ranks; always: also on one rank, which casts block by block."""

    frozen: Literal["sharded", "replicated"] = "sharded"
    """Whether frozen towers are sharded with the rest, or every rank keeps them whole."""

    timeout: float = Field(default=600, gt=0)
    """Seconds after which a rank that waits for the others gives up."""

    def check(self, world: int) -> None:
        """ConfigError when so many ranks do not divide into the replicas."""
        if world % self.replicas:
            raise ConfigError(f"parallel.replicas {self.replicas} does not divide the {world} rank{'s' * (world > 1)}")


class CheckpointSettings(Settings):
    """What is kept to go on from."""

    every: int = Field(default=500, gt=0)
    """Steps between two checkpoints; the last step and SIGTERM always leave one."""

    keep: int = Field(default=2, gt=0)
    """Latest checkpoints that stay."""

    best: str | None = None
    """A logged figure, such as validation.loss, whose smallest value keeps its checkpoint besides. For a figure of the
    validation, every validation leaves a checkpoint."""

    background: bool = True
    """Write while training goes on."""


class LogSettings(Settings):
    """What is told, and how often."""

    every: int = Field(default=10, gt=0)
    """Steps that one line of metrics.jsonl sums up."""

    tensorboard: bool = True
    """Also write TensorBoard's event files."""

    peak_tflops: float | None = Field(default=None, gt=0)
    """What the device can do at most, for the share of it that is used (MFU); null: known by its name, else measured."""

    profile: tuple[int, int] | None = None
    """First and last step that the profiler records into OUT/profile."""

    @field_validator("profile")
    @classmethod
    def _forward(cls, profile: tuple[int, int] | None) -> tuple[int, int] | None:
        if profile is not None and not 0 < profile[0] <= profile[1]:
            raise ValueError("give the first and the last step, counted from 1, as in [10, 12]")
        return profile


class TrainConfig(Settings):
    """One stage of training."""

    model: str
    """Folder or hub name of the model (curate assemble makes one), or the folder of a run or of an export to start from."""

    out: str
    """Folder of the run: checkpoints, metrics, the config itself. Running again goes on from its latest checkpoint."""

    data: DataSettings
    """What is read."""

    stage: Stage = "icl"
    """Sets what is trained unless `parts` says otherwise. align: the projector alone; instruct and icl: projector and
    language model; aim: the projection that fuses demonstrations, and nothing else."""

    aim: AimSettings = AimSettings()
    """Of the stage aim: which states become virtual tokens, and how."""

    parts: tuple[PartRule, ...] = ()
    """Rules laid over the stage's own."""

    lora: LoraSettings = LoraSettings()
    """Of the parts with `train: lora`."""

    steps: int | None = Field(default=None, gt=0)
    """Steps of the run; null: the epochs of data.load. More steps than these epochs have go on with further epochs."""

    until: int | None = Field(default=None, gt=0)
    """Step behind which this process leaves, with a validation and a checkpoint, though the run has more; without it, or with
    a later one, the run goes on."""

    seed: int = 0
    """Of dropout, adapters and the order of the samples."""

    validation: ValidationSettings | None = None
    """A held-out plan to measure on."""

    optimizer: OptimizerSettings = OptimizerSettings()
    """AdamW and its schedule."""

    compute: ComputeSettings = ComputeSettings()
    """Numbers and kernels."""

    parallel: ParallelSettings = ParallelSettings()
    """Ranks."""

    checkpoint: CheckpointSettings = CheckpointSettings()
    """What is kept."""

    log: LogSettings = LogSettings()
    """What is told."""

    max_bad_steps: int = Field(default=3, gt=0)
    """Steps in a row without a finite loss or gradient after which the run stops."""

    remote_code: bool = False
    """Run code that comes with the model, though none that comes with its processor. Only for models whose code you
    have read."""

    @field_validator("data", mode="before")
    @classmethod
    def _whole(cls, data: Any) -> Any:
        if isinstance(data, str):
            raise ValueError("give a mapping with the plan's folder, as in data: {plan: runs/plan}")
        return data

    @model_validator(mode="before")
    @classmethod
    def _one_seed(cls, data: Any) -> Any:
        """The order of the samples has the run's seed, unless data.load.seed is another."""
        section = data.get("data") if isinstance(data, Mapping) else None
        if not isinstance(section, Mapping) or not isinstance(load := section.get("load", {}), Mapping):
            return data  # and be told what is wrong with it
        return {**data, "data": {**section, "load": {"seed": data.get("seed", 0), **load}}}

    @model_validator(mode="after")
    def _has_an_end(self) -> "TrainConfig":
        if self.steps is None and self.data.load.epochs is None:
            raise ValueError("a run needs an end: give steps, or data.load.epochs")
        if (self.checkpoint.best or "").startswith("validation.") and self.validation is None:
            raise ValueError(f"checkpoint.best is {self.checkpoint.best}, and there is no validation section")
        return self

    @model_validator(mode="after")
    def _fuses_alone(self) -> "TrainConfig":
        """The stage aim reads the frozen model by its parts, in rows of many lengths."""
        if self.stage != "aim":
            return self
        if any(rule.train != "frozen" and not rule.match.startswith("aim") for rule in self.parts):
            raise ValueError("the stage aim trains its projection alone: leave parts out, or match aim")
        if self.compute.compile or self.data.pad_rows:
            raise ValueError("the stage aim has rows of many lengths: leave compute.compile and data.pad_rows off")
        return self

    @property
    def training(self) -> DataSettings:
        """The data as it is trained on: without end where the run counts its steps."""
        load = self.data.load.model_copy(update={"epochs": None} if self.steps else {})
        return self.data.model_copy(update={"load": load})

    @property
    def held_out(self) -> DataSettings | None:
        """The data of the validation, once through and always in the same order; None where there is none."""
        if self.validation is None:
            return None
        load = self.data.load.model_copy(update={"epochs": 1, "seed": 0})
        return self.data.model_copy(update={"plan": self.validation.plan, "load": load})

    def plain(self) -> dict[str, Any]:
        """The settings as a file says them: what follows from another setting is left out, so that it goes on following."""
        plain = self.model_dump(mode="json")
        data, load, render = plain["data"], plain["data"]["load"], plain["data"]["render"]
        for section, key, source in ((load, "seed", plain), *((part, key, data) for part in (load, render) for key in LIMITS)):
            if section[key] == source[key]:
                del section[key]
        return plain

    @property
    def rules(self) -> tuple[PartRule, ...]:
        """The stage's rules with the user's laid over them."""
        if self.stage == "aim":
            return (PartRule(match="all", train="frozen"), PartRule(match="aim", train="full"), *self.parts)
        language: Training = "frozen" if self.stage == "align" else "full"
        own = (
            PartRule(match="all", train=language),
            PartRule(match="vision", train="frozen"),
            PartRule(match="projector", train="full"),
        )
        return own + self.parts
