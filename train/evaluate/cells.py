"""What is to be asked: a cell for every benchmark, condition and number of shots, its items in the order of asking.

Groups come in an order drawn by their query, which is the same at every number of shots; so the first N groups are a fair
sample of the benchmark, a larger limit goes on where a smaller one stopped, and curves over shots ask the same queries.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pydantic import Field, field_validator

from curate.benches import Bench, Item
from curate.errors import ConfigError
from curate.evaluations import CONDITIONS
from curate.seeding import seed_of
from curate.settings import Settings
from train.evaluate.controls import CONTROLS, changes

Note = Callable[[str], None]


class EvaluateSettings(Settings):
    """What is asked and how it is scored."""

    shots: tuple[int, ...] = ()
    """Numbers of shots; () for all that a benchmark has. Those that a benchmark lacks are passed over."""

    conditions: tuple[str, ...] = CONDITIONS
    """full, none, text, shuffled, swapped. `none` is asked once, at 0 shots."""

    limit: int | None = Field(default=None, gt=0)
    """Groups of a benchmark that are asked at each number of shots; null for all."""

    scoring: str = Field(default="auto", pattern="^(auto|generate)$")
    """auto: choices by their likelihood, open answers as the model writes them. generate: choices are written as well."""

    max_new_tokens: int = Field(default=32, gt=0)
    """Longest answer that a model may write."""

    chunk: int = Field(default=64, gt=0)
    """Items that are asked and appended together; what is lost when the process is killed."""

    seed: int = 0
    """Of the controls and of the bootstrap."""

    @field_validator("conditions")
    @classmethod
    def _known(cls, conditions: tuple[str, ...]) -> tuple[str, ...]:
        for condition in conditions:
            CONTROLS.get(condition)
        return tuple(sorted({*conditions}, key=list(CONTROLS).index))


SHAPING = ("scoring", "max_new_tokens", "seed")
"""Settings that decide what a model answers; a folder has answers under one value of each."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One benchmark under one condition at one number of shots."""

    bench: Bench
    condition: str
    shots: int
    items: tuple[Item, ...]

    @property
    def likelihoods(self) -> bool:
        """Whether its items are scored by the likelihood of their choices, unless the settings say otherwise."""
        return self.bench.manifest.metric == "choice"

    def __str__(self) -> str:
        return f"{self.bench.name} {self.condition} {self.shots}"


def cells_of(benches: Sequence[Bench], settings: EvaluateSettings, note: Note = lambda message: None) -> list[Cell]:
    """All cells, benchmark by benchmark. `note` hears of what a benchmark cannot be asked.

    ConfigError when two benchmarks share a name, or one has nothing of what is asked for.
    """
    names = [bench.name for bench in benches]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"two benchmarks are called {twice}; evaluate them into folders of their own")
    return [cell for bench in benches for cell in _of_bench(bench, settings, note)]


def _of_bench(bench: Bench, settings: EvaluateSettings, note: Note) -> Iterator[Cell]:
    shots = [count for count in bench.shots if not settings.shots or count in settings.shots]
    lacking = sorted({*settings.shots} - {0, *bench.shots})
    if lacking:
        note(f"{bench.name} has no items of {_listed(lacking)} shots")
    demonstrated = [(condition, count) for count in shots if count for condition in settings.conditions if condition != "none"]
    zero = "none" in settings.conditions or 0 in settings.shots
    if not zero and not demonstrated:
        raise ConfigError(f"{bench.name} has nothing of what is asked for; it has {_listed(bench.shots)} shots")
    if zero:
        yield Cell(bench, "none", 0, tuple(_limited(_without_demonstrations(bench), settings.limit)))
    for condition, count in demonstrated:
        items = _limited([item for item in bench.items if item.shots == count], settings.limit)
        if any(changes(condition, item) for item in items):
            yield Cell(bench, condition, count, tuple(items))
        else:
            note(f"{bench.name}: {condition} changes nothing at {_listed([count])} shots, it is left out")


def _without_demonstrations(bench: Bench) -> list[Item]:
    """The items of 0 shots; where there are none, those of the fewest without demonstrations, each question once."""
    fewest = bench.shots[0]
    items = [item for item in bench.items if item.shots == fewest]
    if fewest == 0:
        return items
    known: dict[object, Item] = {}
    for item in items:
        asked = (item.group, item.episode.query.images, item.episode.query.question, item.choices, item.answers)
        known.setdefault(asked, item)
    return [replace(item, shots=0) for item in known.values()]


def _limited(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Items of the first groups, group by group."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    order = sorted(groups, key=lambda name: (_drawn(groups[name][0]), name))
    return [item for name in order[:limit] for item in groups[name]]


def _drawn(item: Item) -> tuple[int, ...]:
    query = item.episode.query
    pictures = "/".join(image.ref for image in query.images)
    return seed_of(0, "evaluate", f"{query.demonstration_id}/{pictures}"), seed_of(0, "evaluate", item.group)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
