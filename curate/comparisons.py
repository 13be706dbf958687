"""Evaluations beside each other: paired tests over the groups that all models answered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from curate.errors import InputError
from curate.evaluations import Answer, Evaluation
from curate.statistics import compare, holm


@dataclass(frozen=True)
class Compared:
    """One model against another on one cell."""

    bench: str
    metric: str  # what `right` of the answers is: choice, exact, soft, vqa, rouge-l
    shots: int
    condition: str
    model: str
    against: str
    score: float  # of `model`, over the items that both answered
    against_score: float
    difference: float
    low: float  # 95 % paired bootstrap over groups
    high: float
    p: float  # two-sided paired sign-flip test over groups
    p_holm: float  # the same, corrected for all tests of the table
    items: int
    groups: int


def compare_evaluations(
    evaluations: Sequence[Evaluation], conditions: Sequence[str] = ("full",), shots: Sequence[int] = (), seed: int = 0
) -> list[Compared]:
    """Every evaluation but the first against the first, cell by cell, over the items that both answered.

    `shots` () compares all. InputError when there are fewer than two, when one name stands for different benchmarks, or when
    they have no cell in common.
    """
    if len(evaluations) < 2:
        raise InputError("a comparison needs two evaluations or more")
    names, base = names_of(evaluations), evaluations[0]
    found: list[Compared] = []
    for name, other in zip(names[1:], evaluations[1:], strict=True):
        for bench, condition, count in _shared_cells(base, other):
            if condition in conditions and (not shots or count in shots):
                found += _compared(base, other, (bench, condition, count), (name, names[0]), seed)
    if not found:
        raise InputError(f"{', '.join(names)} have no answers to the same items under {', '.join(conditions)}")
    return _corrected(found)


def names_of(evaluations: Sequence[Evaluation]) -> list[str]:
    """What the models are called; by their folder where two are called alike."""
    names = [evaluation.name for evaluation in evaluations]
    folders = [PurePath(evaluation.folder.uri).name for evaluation in evaluations]
    for known in (names, folders):
        if len(set(known)) == len(known):
            return known
    return [evaluation.folder.uri for evaluation in evaluations]


def paired(a: Evaluation, b: Evaluation, bench: str, condition: str, shots: int) -> list[tuple[Answer, Answer]]:
    """The answers of both to the items that both answered, in A's order."""
    others = {answer.item: answer for answer in b.answers(bench, condition, shots)}
    return [(answer, others[answer.item]) for answer in a.answers(bench, condition, shots) if answer.item in others]


def _shared_cells(base: Evaluation, other: Evaluation) -> list[tuple[str, str, int]]:
    digests = {bench.name: bench.digest for bench in base.manifest.benches}
    for bench in other.manifest.benches:
        if digests.get(bench.name, bench.digest) != bench.digest:
            raise InputError(f"{base.folder.uri} and {other.folder.uri} answered different benchmarks called {bench.name}")
    order = {bench.name: at for at, bench in enumerate(base.manifest.benches)}
    cells = {*base.cells()} & {*other.cells()}
    return sorted(cells, key=lambda cell: (order.get(cell[0], len(order)), cell[2], cell[1]))


def _compared(
    base: Evaluation, other: Evaluation, cell: tuple[str, str, int], names: tuple[str, str], seed: int
) -> list[Compared]:
    pairs = paired(other, base, *cell)
    if not pairs:
        return []
    mine, theirs = [pair[0].right for pair in pairs], [pair[1].right for pair in pairs]
    known = compare(mine, theirs, [pair[0].group for pair in pairs], seed=seed)
    metric = next((bench.metric for bench in base.manifest.benches if bench.name == cell[0]), "")
    row = Compared(
        bench=cell[0],
        metric="rouge-l" if metric == "caption" else metric,
        shots=cell[2],
        condition=cell[1],
        model=names[0],
        against=names[1],
        score=sum(mine) / len(mine),
        against_score=sum(theirs) / len(theirs),
        difference=known.difference,
        low=known.low,
        high=known.high,
        p=known.p,
        p_holm=known.p,
        items=len(pairs),
        groups=known.groups,
    )
    return [row]


def _corrected(rows: Sequence[Compared]) -> list[Compared]:
    adjusted = holm([row.p for row in rows])
    return [replace(row, p_holm=p) for row, p in zip(rows, adjusted, strict=True)]
