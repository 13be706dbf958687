"""What a benchmark asks: one file a kind, one line here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from curate.benches import Item, Metric
from curate.benchmarks.material import Material
from curate.benchmarks.settings import BenchSettings
from curate.registry import Registry


@dataclass(frozen=True)
class Made:
    """What a kind made of its material."""

    items: list[Item]
    left_out: dict[str, int] = field(default_factory=dict)  # reason -> classes, blocks or demonstrations that were left out
    pictures: Mapping[str, bytes] = field(default_factory=dict)  # ref -> bytes of pictures that the run does not hold
    licences: Mapping[str, str] = field(default_factory=dict)  # ref -> licence of those pictures


class Kind(Protocol):
    """Makes the items of one benchmark."""

    @property
    def settings(self) -> type[BenchSettings]:
        """What it can be told."""

    @property
    def metric(self) -> Metric:
        """How its answers are scored."""

    @property
    def title(self) -> str:
        """What it asks, in a line, where the spec says nothing."""

    def build(self, spec: Any, material: Material, seed: int) -> Made:
        """The items of `spec`, an instance of `settings`; equal arguments, equal items. InputError when the material
        gives none."""


KINDS: Registry[Kind] = Registry("kind of benchmark")

from curate.benchmarks.kinds import caption, choice, counting, naming, operators, question  # noqa: E402, F401
