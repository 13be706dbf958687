"""A run's checkpoint as a model folder that transformers loads.

OUT/                  the model: safetensors, config.json, generation_config.json, processor with chat template
OUT/README.md         the model card          OUT/export.json    what it is made of, and a digest of every file
With adapters apart, OUT holds a peft adapter and OUT/base/ the model that it belongs to. The projection of a run of the stage
aim lies beside the model as aim.safetensors, with aim.json.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from curate import __version__
from curate.errors import ConfigError, InputError, StorageError
from curate.settings import build, read_yaml
from curate.storage import TEMPORARY, Folder, clear_errors
from train.checkpoint.adapters import BASE, write_adapter
from train.checkpoint.layout import put_in_place, remove
from train.checkpoint.shards import digest_of
from train.checkpoint.weights import Layer, Start, Which, is_run, weights_of
from train.config import ComputeSettings, TrainConfig
from train.folder import CONFIG
from train.metrics.logbook import METRICS, read_rows
from train.model.places import quietly

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.card import Stage

EXPORT = "export.json"
FORMAT = "shotcraft-export/1"

Lora = Literal["merged", "apart"]
Dtype = Literal["float32", "bfloat16"]


def export(
    run: Path,
    out: Path,
    checkpoint: Which = "latest",
    lora: Lora = "merged",
    dtype: Dtype = "float32",
    base: str | None = None,
    remote_code: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Writes a run's checkpoint into `out`, whole or not at all, and returns what was written, as plain data.

    `base` says where the model lies now that the run started from, if it was moved. An older export in `out` is
    replaced; InputError when something else is there, or when `base` is not what the run was trained over.
    """
    check_out(out)
    start, layer = _opened(run, checkpoint, base)
    if lora == "apart" and not layer.manifest.adapters:
        raise ConfigError(f"{run} has no adapters to export apart; leave --lora out")
    say(f"exporting step {layer.manifest.step:,} over {start.base}")
    model = _model(start, lora == "merged", dtype, remote_code)
    half = out.parent / f"{TEMPORARY}{out.name}-{os.urandom(4).hex()}"
    try:
        with clear_errors(str(out)):
            _write_model(half / BASE if lora == "apart" else half, model, start.base)
            if lora == "apart":
                write_adapter(half, layer.updates(), model.dtype)
            (half / "README.md").write_text(_card(out.name, start, model, lora, dtype), encoding="utf-8")
            facts = _sealed(half, layer, lora, dtype)
            put_in_place(half, out)
    finally:
        remove(half)
    return facts


def check_out(out: Path) -> None:
    """InputError when something lies in `out` that an export must not replace."""
    if out.is_file():
        raise InputError(f"{out} is a file; give another folder")
    if out.is_dir() and any(out.iterdir()) and not (out / EXPORT).is_file():
        raise InputError(f"{out} holds something else than an export; give another folder")


def _opened(run: Path, checkpoint: Which, base: str | None) -> tuple[Start, Layer]:
    if not is_run(run):
        raise InputError(f"{run} is no run of the trainer: {CONFIG} is missing")
    start = weights_of(run, checkpoint, base)
    layer = start.layers[-1]
    assert isinstance(layer, Layer)
    return start, layer


def _model(start: Start, merged: bool, dtype: Dtype, remote_code: bool) -> "PreTrainedModel":
    import torch

    from train.model.loading import attach_projections, load_model

    model = load_model(start.base, ComputeSettings(device="cpu", dtype="float32"), remote_code)
    attach_projections(model, start)
    start.lay_over(model, adapters=merged)
    return model.to(getattr(torch, dtype))


def _write_model(folder: Path, model: "PreTrainedModel", base: str) -> None:
    from safetensors import SafetensorError

    from train.data.rendering.loading import load_processor
    from train.model.aim.forward import projection_of
    from train.model.aim.loading import write_projection

    folder.mkdir(parents=True)
    if (projection := projection_of(model)) is not None:
        write_projection(folder, projection)
        del model.aim  # transformers would not know it
    try:
        with quietly():
            model.save_pretrained(str(folder))
    except SafetensorError as error:
        raise StorageError(f"cannot write the weights: {error}") from None
    load_processor(base).save_pretrained(str(folder))


def _card(title: str, start: Start, model: "PreTrainedModel", lora: Lora, dtype: Dtype) -> str:
    from train.card import Facts, card, readable

    runs = [layer for layer in start.layers if isinstance(layer, Layer)]
    configs = [model.config, *(getattr(model.config, name, None) for name in model.config.sub_configs)]
    ours = any(type(found).__module__.startswith("train.") for found in configs)
    own = runs[-1]
    rows = [row for row in read_rows(own.run / METRICS) if row["step"] <= own.manifest.step and readable(row)]
    adapted = lora if own.manifest.adapters else ""
    return card(Facts(title, start.base, tuple(map(_stage, runs)), rows, adapted, dtype, ours))


def _stage(layer: Layer) -> "Stage":
    from train.card import Stage, contents_of, plan_of

    config = build(TrainConfig, read_yaml(layer.run / CONFIG), str(layer.run / CONFIG))
    return Stage(config, layer.manifest, contents_of(config.data.plan, plan_of(layer.manifest)))


def _sealed(half: Path, layer: Layer, lora: Lora, dtype: Dtype) -> dict[str, Any]:
    """Writes export.json when the disk has all other files."""
    files = {}
    for path in sorted(path for path in half.rglob("*") if path.is_file()):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        files[path.relative_to(half).as_posix()] = {"size": path.stat().st_size, "sha256": digest_of(path)}
    manifest = layer.manifest
    facts: dict[str, Any] = {
        "format": FORMAT,
        "made_with": __version__,
        "step": manifest.step,
        "losses": {name: value for name, value in manifest.figures.items() if "loss" in name},
        "lora": lora if manifest.adapters else None,
        "dtype": dtype,
        "checkpoint": {name: entry.sha256 for name, entry in manifest.files.items()},
        "files": files,
    }
    Folder.of(half).write(EXPORT, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())
    return facts
