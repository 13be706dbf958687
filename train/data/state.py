"""Where a loader stands, small enough for any checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from curate.errors import InputError


@dataclass(frozen=True)
class LoaderState:
    """Where to go on. All ranks hold the same but for the two counts, which `merged` adds up."""

    plan: str  # digests of what the order is a function of
    lengths: str
    order: str
    step: int = 0
    epoch: int = 0
    window: int = 0
    row: int = 0
    seen: int = 0  # samples that this rank asked for
    faults: int = 0  # of these, damaged ones

    def as_json(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "LoaderState":
        """The state in plain data; InputError when it is something else."""
        kinds = cls.__annotations__
        if set(data) != set(kinds) or any(not isinstance(data[name], kind) for name, kind in kinds.items()):
            raise InputError("the checkpoint holds no loader state of this version; start the run anew")
        return cls(**data)

    @classmethod
    def merged(cls, states: "Sequence[LoaderState]") -> "LoaderState":
        """One state of all ranks' states; their counts are added up."""
        first = states[0]
        counts = {"seen": sum(s.seen for s in states), "faults": sum(s.faults for s in states)}
        merged = cls(**(asdict(first) | counts))
        assert all(asdict(s) | counts == asdict(merged) for s in states), "ranks stand at different steps"
        return merged
