"""A checkpoint back into a model and its optimiser, or into whole tensors, whatever ranks wrote it."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import combinations, pairwise
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from curate.errors import InputError, IntegrityError
from train.checkpoint.layout import Manifest
from train.checkpoint.shards import Box, Shard, digest_of, opened
from train.checkpoint.state import MODEL, OPTIMIZER, box_of, kept_tensors, local_of, parameters_of

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class Reader:
    """The tensors of a checkpoint, put together from the pieces in its files. A context manager."""

    def __init__(self, checkpoint: Path, manifest: Manifest) -> None:
        self.checkpoint, self.manifest = checkpoint, manifest
        self._shards: list[Shard] = []
        self._open = ExitStack()

    def __enter__(self) -> "Reader":
        with ExitStack() as files:  # closes those that are open when a later one is damaged
            self._shards = [files.enter_context(opened(self.checkpoint / name)) for name in sorted(self.manifest.files)]
            self.shapes = {name: whole for shard in self._shards for name, whole in shard.wholes.items()}
            for name, whole in self.shapes.items():  # also bounds what is reserved for a tensor by what the files hold
                holding = [shard for shard in self._shards if name in shard.boxes]
                if any(shard.wholes[name] != whole for shard in holding):
                    raise self._torn(name)
                if not _fill_exactly([shard.boxes[name] for shard in holding], whole):
                    raise self._torn(name)
            self._open = files.pop_all()
        return self

    def _torn(self, name: str) -> IntegrityError:
        return IntegrityError(f"{self.checkpoint}: the pieces of {name} in its files do not make it whole")

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def names(self, kind: str) -> list[str]:
        """Names under model/ or optim/, without that."""
        return sorted(name.removeprefix(kind) for name in self.shapes if name.startswith(kind))

    def dtype(self, name: str) -> torch.dtype:
        """A tensor's type."""
        return next(shard.dtypes[name] for shard in self._shards if name in shard.dtypes)

    def fill(self, name: str, target: Tensor) -> None:
        """Copies this rank's piece of a tensor into `target`, in place; bits are kept."""
        whole = self.shapes[name]
        if tuple(target.shape) != whole:
            raise InputError(
                f"{self.checkpoint}: {name} has the shape {list(whole)}, the model's is {list(target.shape)};"
                " go on with the settings that the run began with"
            )
        local, box, filled = local_of(target), box_of(target), 0
        for shard in self._shards:
            shared = _overlap(box, shard.boxes[name]) if name in shard.boxes else None
            if shared is not None:
                piece = shard.read(name, shared)
                self._check_type(name, piece, local)
                _inside(local, box, shared).copy_(piece)
                filled += piece.numel()
        if filled != local.numel():
            raise self._torn(name)

    def _check_type(self, name: str, piece: Tensor, local: Tensor) -> None:
        if piece.dtype != local.dtype:
            raise InputError(
                f"{self.checkpoint}: {name} is {piece.dtype}, the model's is {local.dtype};"
                " go on with the settings that the run began with"
            )

    def whole(self, name: str) -> Tensor:
        """A tensor with all its pieces, on the CPU."""
        tensor = torch.empty(self.shapes[name], dtype=self.dtype(name))
        self.fill(name, tensor)
        return tensor


def _fill_exactly(boxes: Sequence[Box], whole: tuple[int, ...]) -> bool:
    """Whether boxes, none of which leaves the whole, hold each of its elements once."""
    if prod(whole) != sum(prod(shape) for _, shape in boxes):
        return False
    ordered = sorted(box for box in boxes if prod(box[1]))
    if whole and all(a[0][0] + a[1][0] <= b[0][0] for a, b in pairwise(ordered)):
        return True  # one behind another, as ranks cut
    return not any(_overlap(one, other) for one, other in combinations(ordered, 2))


def _overlap(one: Box, other: Box) -> Box | None:
    """The box that two boxes share; None when there is none."""
    (at, size), (low, extent) = one, other
    start = tuple(map(max, at, low))
    stop = tuple(min(a + n, b + m) for a, n, b, m in zip(at, size, low, extent, strict=True))
    if any(b <= a for a, b in zip(start, stop, strict=True)):
        return None
    return start, tuple(b - a for a, b in zip(start, stop, strict=True))


def _inside(local: Tensor, box: Box, shared: Box) -> Tensor:
    """The part of a piece that lies in `shared`."""
    for axis, (at, start, size) in enumerate(zip(box[0], *shared, strict=True)):
        local = local.narrow(axis, start - at, size)
    return local


def check_digests(checkpoint: Path, manifest: Manifest, names: Iterable[str]) -> str:
    """The first of some files whose content is not what the manifest says; "" for none."""
    for name in names:
        try:
            if digest_of(checkpoint / name) != manifest.files[name].sha256:
                return f"{checkpoint / name} is damaged: its content is not what was written"
        except OSError as error:
            return f"{checkpoint / name} is not readable: {error.strerror}"
    return ""


def restore(reader: Reader, model: "nn.Module", optimizer: "Optimizer | None") -> None:
    """Fills a model and its optimiser in place. InputError when a shape or a type is not what was saved."""
    with torch.no_grad():
        for name, tensor in kept_tensors(model).items():
            reader.fill(MODEL + name, tensor)
    if optimizer is not None:
        _restore_optimizer(reader, model, optimizer)


def check_names(where: str, saved: Sequence[str], wanted: Mapping[str, Any]) -> None:
    """InputError when a checkpoint holds other tensors than a model trains."""
    lacking, surplus = sorted(set(wanted) - set(saved)), sorted(set(saved) - set(wanted))
    for names, what in ((lacking, "does not hold"), (surplus, "holds, and the model does not train,")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise InputError(f"{where} {what} {names[0]}{more}; go on with the parts and lora settings the run began with")


def _restore_optimizer(reader: Reader, model: "nn.Module", optimizer: "Optimizer") -> None:
    """The optimiser's state through its own load_state_dict, which puts it where this optimiser wants it."""
    names = {parameter: name for name, parameter in parameters_of(model).items()}
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    keys: dict[str, list[str]] = {}
    for name in reader.names(OPTIMIZER):
        parameter_name, _, key = name.rpartition("/")
        keys.setdefault(parameter_name, []).append(key)
    stray = sorted(set(keys) - {names[parameter] for parameter in ordered})
    if stray:
        raise InputError(f"{reader.checkpoint} holds averages of {stray[0]}, which the optimiser does not train")
    state = {
        number: {key: _filled(reader, f"{OPTIMIZER}{names[parameter]}/{key}", parameter) for key in keys[names[parameter]]}
        for number, parameter in enumerate(ordered)
        if names[parameter] in keys
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _filled(reader: Reader, name: str, parameter: Tensor) -> Tensor:
    """A tensor of the optimiser: laid out as its parameter when it has the parameter's shape, else whole on the CPU."""
    if reader.shapes[name] != tuple(parameter.shape) or name.endswith("/step"):
        return reader.whole(name)
    like = torch.zeros_like(parameter, dtype=reader.dtype(name), memory_format=torch.preserve_format)
    reader.fill(name, like)
    return like
