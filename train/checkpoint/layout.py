"""What lies in a run's checkpoints/ and what of it stays.

checkpoints/step-00000500/           a whole checkpoint; the folder gets this name last
    checkpoint.json                  the manifest: step, progress, figures, files
    rank-00000.safetensors           what rank 0 holds of parameters, buffers and the optimiser's averages
checkpoints/.tmp-step-00000600-1f3a  one that is being written, or was when the process was killed

Nothing here is a pickle, so that a checkpoint from somebody else can be read.
"""

import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from curate.errors import InputError, IntegrityError
from curate.settings import Settings
from curate.storage import TEMPORARY, Folder, clear_errors

MANIFEST = "checkpoint.json"
CHECKPOINTS = "checkpoints"
_STEP = re.compile(r"step-(\d{8,12})")
_REPLACED = re.compile(rf"{re.escape(TEMPORARY)}old-(.+)-[0-9a-f]{{8}}")

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^rank-\d{5,7}\.safetensors$")]


class Entry(Settings):
    """A file of a checkpoint."""

    size: Annotated[int, Field(ge=8)]
    sha256: Digest


class Adapter(Settings):
    """A LoRA update of one linear layer: weight + scaling * B @ A."""

    rank: Annotated[int, Field(gt=0)]
    scaling: float


class Manifest(Settings):
    """checkpoint.json."""

    format: Literal["shotcraft-checkpoint/1"] = "shotcraft-checkpoint/1"
    made_with: str  # our version
    step: Annotated[int, Field(ge=0)]
    world: Annotated[int, Field(gt=0)]  # ranks that wrote it; any number may read it
    progress: dict[str, Any]
    figures: dict[str, float | None]  # what was measured last; null where it was not finite
    adapters: dict[str, Adapter]  # by module
    frozen: dict[str, tuple[str, str]]  # parameters that are not in the files: name -> (type, checksum)
    files: Annotated[dict[FileName, Entry], Field(min_length=1)]

    def encode(self) -> bytes:
        """The content of checkpoint.json."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def name_of(step: int) -> str:
    """The folder of a step's checkpoint."""
    return f"step-{step:08d}"


def file_of(rank: int) -> str:
    """The file of a rank."""
    return f"rank-{rank:05d}.safetensors"


def step_of(name: str) -> int | None:
    """The step that a folder's name says; None for any other name."""
    found = _STEP.fullmatch(name)
    return int(found[1]) if found else None


def steps_in(folder: Path) -> list[int]:
    """Steps of all checkpoints, damaged ones too, in order."""
    return sorted(step for path in _entries(folder) if (step := step_of(path.name)) is not None)


def whole_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints whose files are all there with their sizes, in order."""
    return [step for step in steps_in(folder) if not fault_in(folder / name_of(step))]


def read_manifest(checkpoint: Path) -> Manifest:
    """A checkpoint's manifest; IntegrityError when it is damaged, InputError when it is not there."""
    try:
        return Manifest.model_validate_json(Folder.of(checkpoint).read(MANIFEST))
    except (ValidationError, ValueError) as error:
        fault = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise IntegrityError(f"{checkpoint / MANIFEST} is damaged: {fault}") from None


def fault_in(checkpoint: Path) -> str:
    """What a look at names and sizes finds wrong, in a few words; "" for nothing."""
    try:
        manifest = read_manifest(checkpoint)
    except (InputError, IntegrityError) as error:
        return str(error)
    for name, entry in manifest.files.items():
        try:
            size = (checkpoint / name).stat().st_size
        except OSError:
            return f"{checkpoint / name} is missing"
        if size != entry.size:
            return f"{checkpoint / name} has {size:,} bytes, not {entry.size:,}"
    return ""


def figure_of(manifest: Manifest, name: str | None) -> float | None:
    """A finite figure of a checkpoint."""
    value = manifest.figures.get(name) if name else None
    return value if value is not None and math.isfinite(value) else None


def best_of(figures: Mapping[int, float | None]) -> int | None:
    """The step with the smallest figure, the earliest of equals; None when none has one."""
    known = [(figure, step) for step, figure in figures.items() if figure is not None]
    return min(known)[1] if known else None


def kept(figures: Mapping[int, float | None], saved: int, keep: int) -> set[int]:
    """Which steps stay after `saved` was: the last `keep` and the best.

    Steps behind `saved` belong to a course that was given up when the run went on from an earlier one.
    """
    course = {step: figure for step, figure in figures.items() if step <= saved}
    best = best_of(course)
    return set(sorted(course)[-keep:]) | ({best} if best is not None else set())


def prune(folder: Path, saved: int, keep: int, best: str | None) -> None:
    """Removes the checkpoints that do not stay. Damaged ones count for nothing and go, too."""
    whole = whole_steps(folder)
    figures = {step: figure_of(read_manifest(folder / name_of(step)), best) for step in whole}
    for step in set(steps_in(folder)) - kept(figures, saved, keep):
        remove(folder / name_of(step))


def remove(checkpoint: Path) -> None:
    """Removes a folder; it loses its name first, so that a kill leaves no half of it under that name."""
    going = checkpoint.with_name(f"{TEMPORARY}gone-{checkpoint.name}-{os.urandom(4).hex()}")
    try:
        checkpoint.rename(going)
    except FileNotFoundError:
        return
    shutil.rmtree(going, ignore_errors=True)


def clean(folder: Path) -> None:
    """Removes what a killed process left, and puts back what it was about to replace. Only while nobody else writes here."""
    for left in _entries(folder):
        replaced = _REPLACED.fullmatch(left.name)
        if replaced and not (folder / replaced[1]).exists():
            left.rename(folder / replaced[1])
        elif left.name.startswith(TEMPORARY):
            shutil.rmtree(left, ignore_errors=True)


def put_in_place(half: Path, final: Path) -> None:
    """Gives a finished folder its name, instead of an older one with that name, and waits for the disk."""
    older = final.with_name(f"{TEMPORARY}old-{final.name}-{os.urandom(4).hex()}")
    with clear_errors(str(final)):
        settle(half)
        if final.exists():
            final.rename(older)
        half.rename(final)
        settle(final.parent)
    shutil.rmtree(older, ignore_errors=True)


def settle(folder: Path) -> None:
    """Waits until the disk knows the names in a folder, which guards them against a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _entries(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir())) if folder.is_dir() else iter(())
