"""A run's folder: what it was started with, and whether it may go on.

OUT/config.yaml      the settings; a run goes on only with settings that shape the same curve
OUT/metrics.jsonl    a row every few steps          OUT/tensorboard/
OUT/checkpoints/     what to go on from             OUT/bad/   steps that had no finite loss
OUT/summary.json     how it ended
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from curate.errors import ConfigError, InputError, StorageError
from curate.settings import load
from curate.storage import Folder, clear_errors, hash_json
from train.config import TrainConfig

CONFIG, SUMMARY, LOCK = "config.yaml", "summary.json", ".lock"

FREE = (
    "out", "log", "checkpoint", "parallel", "validation", "max_bad_steps", "remote_code", "until",
    "compute.device", "compute.threads", "compute.compile", "compute.recompute", "compute.attention", "compute.deterministic",
    "data.load.micro_batch", "data.load.workers", "data.load.prefetch", "data.load.max_faults", "data.pad_rows",
)  # fmt: skip
"""Settings that may change when a run goes on: they change how it is computed, not what."""


def shaping(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings that decide a run's curve, by dotted name."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if name in FREE:
            continue
        found |= shaping(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def digest_of(config: TrainConfig) -> str:
    """Equal for runs that train the same."""
    return hash_json(shaping(config.plain()))


def check_folder(config: TrainConfig) -> None:
    """ConfigError when OUT holds a run with other settings, InputError when it holds something else."""
    out = Path(config.out)
    if "://" in config.out:
        raise ConfigError(f"out: {config.out} is a URL; checkpoints are written to a disk that all ranks share")
    if out.is_file():
        raise InputError(f"{out} is a file; give another out")
    names = sorted({*os.listdir(out)} - {LOCK}) if out.is_dir() else []
    if not names:
        return
    if CONFIG not in names:
        raise InputError(f"{out} holds no run of the trainer ({names[0]} lies there); give another out")
    if not any((out / "checkpoints").glob("step-*")):
        return  # nothing of it is left to go on from
    old, new = shaping(load(TrainConfig, out / CONFIG).plain()), shaping(config.plain())
    changed = list(_changes(old, new))
    if changed:
        raise ConfigError(
            f"{out} holds a run with other settings ({'; '.join(changed[:3])}); give another out, or put them back"
        )


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{name} was {old.get(name)}, is {new.get(name)}"


def write_config(config: TrainConfig) -> None:
    """OUT/config.yaml, which makes OUT a run's folder."""
    text = yaml.safe_dump(config.plain(), sort_keys=False, allow_unicode=True)
    Folder.of(config.out).write(CONFIG, text.encode())


@contextmanager
def alone_in(out: str) -> Iterator[None]:
    """One trainer at a time in a folder; ConfigError while another process holds it. The lock ends with the process."""
    import fcntl

    folder = Path(out)
    try:
        with clear_errors(out):
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / LOCK).open("w")
    except OSError as error:
        raise StorageError(f"out: cannot make the folder {out} ({error.strerror}); give another one") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"another process trains in {out}; wait for it to end, or give another out") from None
        yield
