"""design.json: the space of a sweep, its trials, and what they cost. Written by `curate sweep design`, read by all else."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from curate.errors import InputError, IntegrityError
from curate.storage import Folder
from pipelines.sweep.space import Choice, Point, Simplex, Space

DESIGN = "design.json"
TRIALS = "trials"


@dataclass(frozen=True)
class Trial:
    """One training and what it is asked."""

    id: str  # 12 hex digits of the key
    mix: str  # 12 hex digits; trials of one mix share it
    kinds: tuple[str, ...]  # designs that it stands in, such as prior, lattice
    seed: int
    point: Point
    key: str  # hash of mix, settings and data

    def as_json(self) -> dict[str, Any]:
        """The trial as design.json has it."""
        plain = {"id": self.id, "mix": self.mix, "kinds": list(self.kinds), "seed": self.seed, "key": self.key}
        shares = {axis: dict(named) for axis, named in self.point.shares.items()}
        return {**plain, "shares": shares, "choices": dict(self.point.choices)}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Trial":
        """The trial of a line of design.json."""
        point = Point(row["shares"], row["choices"])
        return cls(str(row["id"]), str(row["mix"]), tuple(row["kinds"]), int(row["seed"]), point, str(row["key"]))


@dataclass(frozen=True)
class Design:
    """All of design.json."""

    spec: Mapping[str, Any]  # the sweep's settings, as given
    space: Space
    baseline: str  # the mix called prior
    trials: tuple[Trial, ...]
    cost: Mapping[str, Any] = field(default_factory=dict)
    setting: Mapping[str, Any] = field(default_factory=dict)  # what trials run with: base mix, base training, data

    def as_json(self) -> dict[str, Any]:
        """The design as a file has it."""
        space = {
            "simplices": [asdict(one) for one in self.space.simplices],
            "choices": [asdict(one) for one in self.space.choices],
        }
        return {
            "spec": dict(self.spec),
            "space": space,
            "baseline": self.baseline,
            "trials": [trial.as_json() for trial in self.trials],
            "cost": dict(self.cost),
            "setting": dict(self.setting),
        }


def space_of(data: Mapping[str, Any]) -> Space:
    """The space as design.json has it."""
    simplices = (Simplex(one["axis"], *(tuple(one[name]) for name in _TUPLES)) for one in data["simplices"])
    return Space(tuple(simplices), tuple(Choice(one["name"], tuple(one["levels"])) for one in data["choices"]))


_TUPLES = ("components", "prior", "natural", "low", "high")


def read_design(folder: Path) -> Design:
    """The design in a sweep's folder; InputError when there is none."""
    try:
        data = json.loads((folder / DESIGN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} holds no sweep ({DESIGN} is missing); make one: curate sweep design SPEC --out {folder}"
        ) from None
    except ValueError:
        raise IntegrityError(f"{folder / DESIGN} is not readable; design the sweep again") from None
    try:
        trials = tuple(Trial.of(row) for row in data["trials"])
        space, more = space_of(data["space"]), data.get("setting", {})
        return Design(data["spec"], space, str(data["baseline"]), trials, data["cost"], more)
    except (KeyError, TypeError, ValueError):
        raise IntegrityError(f"{folder / DESIGN} is not a sweep's design; design the sweep again") from None


def write_design(folder: Path, design: Design) -> None:
    """Writes design.json, whole or not at all."""
    text = json.dumps(design.as_json(), indent=2, ensure_ascii=False, allow_nan=False)
    Folder.of(folder).write(DESIGN, (text + "\n").encode())
