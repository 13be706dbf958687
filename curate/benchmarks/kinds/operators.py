"""`operators`: which hidden operator joins two counted numbers; only the demonstrations tell.

Each turn shows two numbers as pictures of so many objects and asks for the result. A group asks about one pair of numbers
under every operator, each time with demonstrations of that operator. The demonstrations of a group *say* the same under every
operator, since their pictures are chosen to fit the answers: what an answerer reads off their words is the same in all of a
group's questions, while another answer is right in each. So it is right in one of them at most, and so is an answerer that
sees the query alone. Every demonstration fits one operator only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from curate.benches import Item, Metric
from curate.benchmarks.composing import MOST, Cutout
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material
from curate.benchmarks.studio import ComposedSettings, Studio, distinct
from curate.schema import Shot
from curate.seeding import rng

OPERATORS = {
    "sum": lambda a, b: a + b,
    "difference": lambda a, b: abs(a - b),
    "product": lambda a, b: a * b,
    "larger": lambda a, b: max(a, b),
    "smaller": lambda a, b: min(a, b),
}
Pair = tuple[int, int]
Operator = Literal["sum", "difference", "product", "larger", "smaller"]


class OperatorSettings(ComposedSettings):
    """Shots are demonstrations in all."""

    operators: list[Operator] = Field(default=["sum", "difference", "product"])
    """Operators to choose between."""
    most: Annotated[int, Field(ge=3, le=MOST)] = 9
    """Largest number shown and largest result; up to 9 every answer is one digit."""
    pictures: Literal["two", "one"] = "two"
    """The numbers of a turn are two pictures, or the halves of one."""
    question: str = "What is the result for these two numbers of objects?"
    """What is asked."""

    @model_validator(mode="after")
    def _check_operators(self) -> "OperatorSettings":
        if len(set(self.operators)) != len(self.operators) or len(self.operators) < 2:
            raise ValueError("operators: name at least two different ones")
        if not Numbers(tuple(self.operators), self.most).values:
            raise ValueError(f"operators: numbers up to {self.most} do not tell these apart; raise most")
        return self


class Numbers:
    """Pairs of numbers that can be asked about and demonstrate: their results are in range and differ under every operator.

    Demonstrations are of the same pairs as queries, so that the numbers alone tell little of the operator too.
    """

    def __init__(self, operators: tuple[Operator, ...], most: int) -> None:
        self.operators = operators
        pairs = product(range(1, most + 1), range(1, most + 1))
        self.pairs = [pair for pair in pairs if self._told_apart(pair) and max(self.results(pair)) <= most]
        self._by_result: dict[tuple[Operator, int], list[Pair]] = {}
        for pair in self.pairs:
            for operator, result in zip(operators, self.results(pair), strict=True):
                self._by_result.setdefault((operator, result), []).append(pair)
        self.values = [n for n in range(most + 1) if all((operator, n) in self._by_result for operator in operators)]

    def results(self, pair: Pair) -> list[int]:
        """The result under each operator."""
        return [OPERATORS[operator](*pair) for operator in self.operators]

    def _told_apart(self, pair: Pair) -> bool:
        return len(set(self.results(pair))) == len(self.operators)

    def giving(self, operator: Operator, value: int) -> list[Pair]:
        """All pairs that give `value` under an operator."""
        return self._by_result[operator, value]

    def showing(self, operator: Operator, value: int, dice: np.random.Generator) -> Pair:
        """One of them."""
        pairs = self.giving(operator, value)
        return pairs[int(dice.integers(len(pairs)))]


@dataclass(frozen=True)
class Group:
    """One pair of numbers under every operator."""

    name: str
    choices: tuple[str, ...]  # results, ascending
    queries: tuple[Shot, ...]  # by operator; all show the same pictures
    support: tuple[tuple[Shot, ...], ...]  # [operators][K]; the answers are the same under every operator


class OperatorInduction:
    """What hidden operator joins two numbers."""

    settings = OperatorSettings
    metric: Metric = "choice"
    title = "What do two numbers of objects give, by a rule that only the demonstrations tell?"

    def build(self, spec: OperatorSettings, material: Material, seed: int) -> Made:
        """Every pair under every operator at every number of shots, demonstrations in two orders."""
        studio = Studio(spec, seed)
        groups = list(_groups(spec, studio, material))
        rows = [
            (query, shot) for group in groups for query, row in zip(group.queries, group.support, strict=True) for shot in row
        ]
        studio.compare(rows)
        items = [item for group in groups for shots in spec.shots for item in _items(spec, group, shots, studio)]
        return Made(items, {}, studio.pictures, studio.licences)


def _groups(spec: OperatorSettings, studio: Studio, material: Material) -> Iterator[Group]:
    numbers = Numbers(tuple(spec.operators), spec.most)
    asked, shown = studio.cast(material)
    order = rng(studio.seed, "bench.operators", spec.name).permutation(len(numbers.pairs)).tolist()
    for number in range(spec.queries):
        pair = numbers.pairs[order[number % len(order)]]
        yield _group(spec, f"g{number:04d}", pair, numbers, studio, next(asked), distinct(shown, max(spec.shots)))


def _group(
    spec: OperatorSettings, name: str, pair: Pair, numbers: Numbers, studio: Studio, object_: Cutout, rounds: list[Cutout]
) -> Group:
    dice = rng(studio.seed, "bench.operators", f"{spec.name}/{name}")
    values = _spread(numbers.values, len(rounds), dice)
    together = spec.pictures == "one"

    def shot(shown: Pair, cutout: Cutout, key: str, operator: Operator) -> Shot:
        images = studio.pair(cutout, shown, f"{name}/{key}", together)
        said = str(OPERATORS[operator](*shown))
        return Shot("support", None, cutout.demonstration.id, "", images, spec.question, said, said)

    queries = tuple(shot(pair, object_, "query", operator) for operator in spec.operators)
    support = tuple(
        tuple(
            shot(numbers.showing(operator, value, dice), cutout, f"{operator}{at}", operator)
            for at, (value, cutout) in enumerate(zip(values, rounds, strict=True))
        )
        for operator in spec.operators
    )
    return Group(name, tuple(map(str, sorted(numbers.results(pair)))), queries, support)


def _spread(values: list[int], count: int, dice: np.random.Generator) -> list[int]:
    """Values for K demonstrations, none again before all have stood."""
    drawn: list[int] = []
    while len(drawn) < count:
        drawn += dice.permutation(values).tolist()
    return [int(value) for value in drawn[:count]]


def _items(spec: OperatorSettings, group: Group, shots: int, studio: Studio) -> Iterator[Item]:
    for place, operator in enumerate(spec.operators):
        for name, step in (("", 1), ("-", -1)) if shots > 1 else (("", 1),):
            query = group.queries[place]
            turns = [studio.beside(query, shot, None) for shot in group.support[place][:shots][::step]]
            episode = studio.episode(f"{group.name}-{shots}-{operator}{name}", "operator", operator, turns, query)
            yield Item(episode.id, group.name, shots, len(group.choices), group.choices, (query.answer,), episode)


KINDS.register("operators")(OperatorInduction())
