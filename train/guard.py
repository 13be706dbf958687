"""Steps that must not be taken: losses or gradients that are not finite.

A bad step leaves what it was made of, so that it can be looked at where it went wrong:

OUT/bad/step-00000012/rank-0.safetensors   the micro-batches of the step, tensor by tensor
OUT/bad/step-00000012/rank-0.json          the samples in them with keys and shards, settings digest, seed, losses
"""

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError, QualityError
from curate.storage import Folder
from train.data.records import Batch, Segment

if TYPE_CHECKING:
    import torch

    from curate.shards.plans import Plan

log = logging.getLogger("shotcraft.guard")

FOLDER = "bad"
KEPT = 8
"""Bad steps whose batches are kept; the oldest go first."""

PLANES = ("labels", "weights", "answers", "segments")


class Guard:
    """Counts and keeps bad steps.

    finite = not ranks.any(not isfinite(loss) or not isfinite(norm))
    if guard.judge(step, finite, batches, {"grad_norm": ...}):
        optimizer.step()
    """

    def __init__(
        self, out: Path, limit: int, plan: "Plan | None" = None, facts: Mapping[str, Any] | None = None, rank: int = 0
    ) -> None:
        """Dumps go to OUT/bad; `limit` is max_bad_steps. `facts` stand in every dump: config digest, seed, world."""
        self._folder, self._limit, self._plan, self._rank = out / FOLDER, limit, plan, rank
        self._facts = dict(facts or {})
        self._skipped = self._in_a_row = 0

    @property
    def skipped(self) -> int:
        """Bad steps of the whole run."""
        return self._skipped

    def judge(self, step: int, finite: bool, batches: Sequence[Batch], facts: Mapping[str, Any] | None = None) -> bool:
        """Whether the step may be taken. `finite` must be what all ranks agreed on, so that all skip alike.

        A bad step's batches are written to OUT/bad. QualityError, on all ranks alike, after `limit` bad steps in a row.
        """
        if finite:
            self._in_a_row = 0
            return True
        self._skipped, self._in_a_row = self._skipped + 1, self._in_a_row + 1
        place = self._dump(step, batches, facts or {})
        log.warning("step %d has no finite loss or gradient and is skipped; its batches are in %s", step, place)
        if self._in_a_row >= self._limit:
            raise QualityError(
                f"{self._in_a_row} steps in a row had no finite loss or gradient; the batches of the last are in {place},"
                " those of earlier ones beside it. Try a lower optimizer.lr, a longer warmup, a smaller optimizer.clip, or"
                " compute.dtype float32; if one batch does it alone (train.guard.load_dump), look at its samples"
            )
        return False

    def state(self) -> dict[str, int]:
        """What a checkpoint keeps."""
        return {"skipped": self._skipped, "in_a_row": self._in_a_row}

    def restore(self, state: Mapping[str, int]) -> None:
        """Goes on counting."""
        self._skipped, self._in_a_row = int(state.get("skipped", 0)), int(state.get("in_a_row", 0))

    def _dump(self, step: int, batches: Sequence[Batch], facts: Mapping[str, Any]) -> Path:
        from safetensors.torch import save

        place, name = self._folder / f"step-{step:08d}", f"rank-{self._rank}"
        tensors = {f"{at}.{key}": tensor for at, batch in enumerate(batches) for key, tensor in _tensors(batch)}
        told = {"step": step, "rank": self._rank, **self._facts, **facts}
        told["batches"] = [self._contents(batch) for batch in batches]
        Folder.of(place).write(f"{name}.safetensors", save(tensors))
        Folder.of(place).write(f"{name}.json", json.dumps(_sound(told), indent=1, ensure_ascii=False).encode())
        self._forget()
        return place

    def _contents(self, batch: Batch) -> list[dict[str, Any]]:
        return [asdict(segment) | self._origin(segment.sample) for segment in batch.contents]

    def _origin(self, sample: int) -> dict[str, str]:
        """Where a sample of the plan lies."""
        if self._plan is None or not 0 <= sample < len(self._plan.samples):  # a blank picture is of no sample
            return {}
        return {"key": self._plan.key(sample), "shard": self._plan.shards[self._plan.shard_of(sample)][1]}

    def _forget(self) -> None:
        """Removes this rank's oldest dumps; a folder goes when the last rank's are gone."""
        own = sorted(self._folder.glob(f"step-*/rank-{self._rank}.json"))
        for old in own[:-KEPT]:
            old.with_suffix(".safetensors").unlink(missing_ok=True)
            old.unlink(missing_ok=True)
            if not any(old.parent.iterdir()):
                old.parent.rmdir()


def _tensors(batch: Batch) -> Iterable[tuple[str, "torch.Tensor"]]:
    named = {**{f"inputs.{name}": tensor for name, tensor in batch.inputs.items()}, **{n: getattr(batch, n) for n in PLANES}}
    return [(name, tensor.detach().cpu().clone().contiguous()) for name, tensor in named.items()]


def _sound(value: Any) -> Any:
    """Plain data with words for figures that JSON has none for: they are what a dump is about."""
    if isinstance(value, Mapping):
        return {str(key): _sound(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Dump:
    """A bad step of one rank, read back."""

    batches: list[Batch]
    facts: dict[str, Any]


def load_dump(folder: Path, rank: int = 0) -> Dump:
    """The micro-batches of a bad step (OUT/bad/step-N), as they went into the model. InputError when there are none."""
    from safetensors.torch import load

    here = Folder.of(folder)
    facts = json.loads(here.read(f"rank-{rank}.json"))
    tensors = load(here.read(f"rank-{rank}.safetensors"))
    if not isinstance(facts, dict) or not isinstance(facts.get("batches"), list):
        raise InputError(f"{folder}/rank-{rank}.json is not of a bad step")
    return Dump([_batch(at, tensors, contents) for at, contents in enumerate(facts["batches"])], facts)


def _batch(at: int, tensors: "Mapping[str, torch.Tensor]", contents: Sequence[Mapping[str, Any]]) -> Batch:
    own = {name.removeprefix(f"{at}."): tensor for name, tensor in tensors.items() if name.startswith(f"{at}.")}
    inputs = {name.removeprefix("inputs."): tensor for name, tensor in own.items() if name.startswith("inputs.")}
    segments = tuple(Segment(one["row"], one["start"], one["stop"], one["sample"]) for one in contents)
    labels, weights, answers, planes = (own[name] for name in PLANES)
    return Batch(inputs, labels, weights, answers, planes, segments)
