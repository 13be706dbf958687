"""From a cell's answers to its rows of results.json."""

from collections.abc import Mapping, Sequence

from curate.benches import Item
from curate.evaluations import Answer, Row
from curate.schema import Shot
from curate.statistics import bootstrap, by_group
from train.evaluate.captions import cider
from train.evaluate.cells import Cell
from train.evaluate.metrics import normal

RIGHT = 1 - 1e-9
"""An item that is right; ties are not."""


def rows_of(cell: Cell, answers: Sequence[Answer], seed: int = 0) -> list[Row]:
    """One row, or CIDEr and ROUGE-L for captions. `answers` belong to the cell's items, in their order."""
    rights = [answer.right for answer in answers]
    if cell.bench.manifest.metric != "caption":
        return [_row(cell, answers, cell.bench.manifest.metric, rights, seed)]
    said = [(answer.group, answer.said or "") for answer in answers]
    scores = {"cider": cider(said, references_of(cell)), "rouge-l": rights}
    return [_row(cell, answers, metric, values, seed) for metric, values in scores.items()]


def references_of(cell: Cell) -> dict[str, tuple[str, ...]]:
    """Reference captions of every group that the benchmark has at the cell's number of shots, asked or not."""
    at = cell.shots if cell.shots in cell.bench.shots else cell.bench.shots[0]
    return {item.group: item.answers for item in cell.bench.items if item.shots == at}


def _row(cell: Cell, answers: Sequence[Answer], metric: str, values: Sequence[float], seed: int) -> Row:
    groups = [answer.group for answer in answers]
    known, manifest = bootstrap(values, groups, seed=seed), cell.bench.manifest
    graded = manifest.metric == "caption"
    return Row(
        bench=cell.bench.name,
        digest=cell.bench.digest,
        domain=manifest.domain,
        metric=metric,
        shots=cell.shots,
        condition=cell.condition,
        items=len(answers),
        groups=len(set(groups)),
        score=known.mean,
        low=known.low,
        high=known.high,
        invariant=None if graded else invariant(values, groups),
        chance=_chance(cell.items),
        baselines=_baselines(manifest.baselines.get(str(cell.shots), {}), cell.condition),
        skipped=sum(answer.said is None and not answer.scores for answer in answers),
        copies=_copies(cell, answers) if cell.condition == "full" else {},
    )


def invariant(values: Sequence[float], groups: Sequence[str]) -> float:
    """Position-invariant accuracy: the share of groups of which all arrangements are right."""
    right = by_group([float(value >= RIGHT) for value in values], groups)
    return sum(share == 1 for share in right.values()) / len(right)


def _chance(items: Sequence[Item]) -> float | None:
    if not all(item.ways for item in items):
        return None
    return sum(1 / item.ways for item in items) / len(items)


def _baselines(known: Mapping[str, float], condition: str) -> dict[str, float]:
    """What answerers without a model score on the items as they are."""
    return dict(known) if condition in ("full", "none") else {}


def _copies(cell: Cell, answers: Sequence[Answer]) -> dict[str, float]:
    """How often the model says what the first, last or nearest demonstration says; where turns have options of their own, by
    what answers mean, and by the bare letter of the first and the last."""
    same: dict[str, list[bool]] = {}
    for item, answer in zip(cell.items, answers, strict=True):
        said, shots = answer.choice or "", _standing(item.episode.demonstrations)
        meant = _meaning(item, said)
        for where, shot in shots.items():
            same.setdefault(where, []).append(normal(meant) == normal(shot.label if shot.options else shot.answer) != "")
        for where in ("first", "last") if item.episode.query.options else ():
            same.setdefault(f"{where}-letter", []).append(normal(said) == normal(shots[where].answer) != "")
    return {where: sum(hits) / len(hits) for where, hits in same.items()}


def _meaning(item: Item, said: str) -> str:
    """What a choice stands for among the query's options."""
    options = item.episode.query.options
    at = item.choices.index(said) if said in item.choices else len(options)
    return options[at] if at < len(options) and options[at] not in item.choices else said


def _standing(shots: Sequence[Shot]) -> dict[str, Shot]:
    known = [(shot.similarity, -at) for at, shot in enumerate(shots) if shot.similarity is not None]
    found = {"first": shots[0], "last": shots[-1]}
    return found | {"nearest": shots[-max(known)[1]]} if known else found
