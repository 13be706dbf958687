"""From a run to weights: what a stage starts from, and what an export is made of."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from curate.errors import ConfigError, InputError, IntegrityError
from curate.settings import read_yaml
from train.checkpoint.adapters import BASE, Apart, Update, add_updates, is_apart
from train.checkpoint.layout import (
    CHECKPOINTS,
    MANIFEST,
    Manifest,
    best_of,
    fault_in,
    figure_of,
    name_of,
    read_manifest,
    step_of,
    steps_in,
    whole_steps,
)
from train.checkpoint.restoring import Reader, check_digests
from train.checkpoint.state import MODEL, buffers_of, checksum, differing, parameters_of
from train.folder import CONFIG
from train.model.rules import original

if TYPE_CHECKING:
    from torch import nn

Which = Literal["latest", "best"] | int
_LORA = re.compile(r"(.+)\.lora_([AB])\.default\.weight")


@dataclass(frozen=True)
class Layer:
    """What one run changed: a checkpoint, to be laid over the weights that the run started from."""

    checkpoint: Path
    manifest: Manifest

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.checkpoint.parent.parent

    def lay_over(self, model: "nn.Module", adapters: bool = True) -> None:
        """Copies trained tensors over the model's own and adds the adapters' updates to theirs, in place."""
        fault = check_digests(self.checkpoint, self.manifest, sorted(self.manifest.files))
        if fault:
            raise IntegrityError(fault)
        named = parameters_of(model) | buffers_of(model)
        self._check_frozen(named)
        with Reader(self.checkpoint, self.manifest) as reader, torch.no_grad():
            for name in reader.names(MODEL):
                if not _LORA.fullmatch(name):
                    self._target(named, original(name), reader.shapes[MODEL + name]).copy_(reader.whole(MODEL + name))
            if adapters:
                add_updates(named, self._updates(reader), str(self.checkpoint))

    def updates(self) -> dict[str, Update]:
        """The LoRA updates by module; empty for a run without adapters."""
        with Reader(self.checkpoint, self.manifest) as reader:
            return self._updates(reader)

    def _updates(self, reader: Reader) -> dict[str, Update]:
        def whole(module: str, side: str) -> Tensor:
            return reader.whole(f"{MODEL}{module}.lora_{side}.default.weight")

        return {name: (whole(name, "A"), whole(name, "B"), lora.scaling) for name, lora in self.manifest.adapters.items()}

    def _target(self, named: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in named or tuple(named[name].shape) != shape:
            raise InputError(f"{self.checkpoint} holds {name}, which does not fit the model; is it the run's model?")
        return named[name]

    def _check_frozen(self, named: dict[str, Tensor]) -> None:
        """The weights that the run left alone must be those it was trained over, in the type it used them in."""
        saved = {original(name): found for name, found in self.manifest.frozen.items()}
        present = {name: _seen_as(named[name], dtype) for name, (dtype, _) in saved.items() if name in named}
        other = differing(saved, present)
        if other:
            raise InputError(
                f"{self.checkpoint} was trained over other weights than those of the model it names ({other});"
                " say where the model lies that the run started from"
            )


def _seen_as(tensor: Tensor, dtype: str) -> tuple[str, str]:
    return dtype, f"{checksum(tensor.to(getattr(torch, dtype)), 0):016x}"


@dataclass(frozen=True)
class Start:
    """A model to begin with: what transformers loads, and what runs have since made of it.

    start = weights_of(config.model)
    model = AutoModelForImageTextToText.from_pretrained(start.base, ...)  # also the processor and the config
    start.lay_over(model)  # a plain model in float32 on the CPU; nothing happens where there is nothing to lay over
    """

    base: str  # a folder that transformers loads, or a hub name
    layers: tuple[Layer | Apart, ...] = ()  # the runs since, oldest first

    def lay_over(self, model: "nn.Module", adapters: bool = True) -> None:
        """Copies trained weights over the plain model's own, in place, and adds LoRA updates to theirs.

        `adapters=False` leaves out the updates of the last run, which curate export writes apart.
        InputError when the model's other weights are not those that the run was trained over, IntegrityError when a
        file is damaged.
        """
        for layer in self.layers:
            layer.lay_over(model, adapters or layer is not self.layers[-1])


def weights_of(place: str | Path, which: Which = "latest", base: str | None = None) -> Start:
    """What `place` stands for: a run's folder (its latest checkpoint, or `which`), RUN/checkpoints/step-00000500 or
    RUN/checkpoints/best; or an export with its adapters apart. Anything else is a folder or hub name that transformers
    loads as it is.

    `base` says where the model lies that the run started from, if not where its config says. InputError when there is
    no such checkpoint, IntegrityError when it is damaged.
    """
    return _start(str(place), which, base, ())


def _start(place: str, which: Which, base: str | None, seen: tuple[Path, ...]) -> Start:
    found = _run_of(Path(place), which)
    if found is None and is_apart(Path(place)):
        return Start(str(Path(place) / BASE), (Apart(Path(place)),))
    if found is None:
        return Start(place)
    run, which = found
    if run.resolve() in seen:
        raise ConfigError(f"{run} starts from itself; set `model` in its {CONFIG} to the model it began with")
    before = _start(base or _model_of(run), "latest", None, (*seen, run.resolve()))
    return Start(before.base, (*before.layers, layer_of(run, which)))


def _run_of(place: Path, which: Which) -> tuple[Path, Which] | None:
    """The run and checkpoint that a path means; None when it means neither."""
    if is_run(place):
        return place, which
    run = place.parent.parent
    if place.parent.name != CHECKPOINTS or not is_run(run):
        return None
    if place.name in ("latest", "best"):
        return run, "best" if place.name == "best" else "latest"
    if not (place / MANIFEST).is_file():
        return None
    step = step_of(place.name)
    if step is None:
        raise InputError(
            f"{place} is a checkpoint under another name than the run gave it, such as {name_of(500)}; name it so"
        )
    return run, step


def is_run(place: Path) -> bool:
    """Whether a folder is a run of the trainer."""
    return (place / CONFIG).is_file() and not (place / "config.json").exists()


def _model_of(run: Path) -> str:
    """What the run began with. A relative path is meant from where the run was started, which its relative `out` tells."""
    settings = read_yaml(run / CONFIG)
    model, out = settings.get("model"), settings.get("out")
    if not isinstance(model, str):
        raise InputError(f"{run / CONFIG} names no model; is {run} a run of the trainer?")
    here, steps = run.resolve(), Path(out).parts if isinstance(out, str) and not Path(out).is_absolute() else ()
    if steps and here.parts[-len(steps) :] == steps:
        there = here.parents[len(steps) - 1] / model
        if there.is_dir():
            return str(there)
    return model


def layer_of(run: Path, which: Which) -> Layer:
    """A run's checkpoint; never silently another one than was asked for."""
    folder = run / CHECKPOINTS
    steps = steps_in(folder)
    if not steps:
        raise InputError(f"{run} holds no checkpoint yet")
    step = _best(run) if which == "best" else steps[-1] if which == "latest" else which
    if step not in steps:
        raise InputError(f"{run} holds no checkpoint of step {step}; there are {', '.join(map(str, steps))}")
    fault = fault_in(folder / name_of(step))
    if fault:
        whole = ", ".join(map(str, whole_steps(folder))) or "none"
        raise IntegrityError(f"{fault}; whole checkpoints: {whole}")
    return Layer(folder / name_of(step), read_manifest(folder / name_of(step)))


def _best(run: Path) -> int:
    settings = read_yaml(run / CONFIG).get("checkpoint")
    name = settings.get("best") if isinstance(settings, dict) else None
    if not name:
        raise ConfigError(f"{run} kept no best checkpoint: checkpoint.best names no figure in its {CONFIG}")
    folder = run / CHECKPOINTS
    manifests = {step: read_manifest(folder / name_of(step)) for step in whole_steps(folder)}
    best = best_of({step: figure_of(manifest, name) for step, manifest in manifests.items()})
    if best is None:
        raise InputError(f"{run}: no checkpoint has the figure {name}")
    return best
