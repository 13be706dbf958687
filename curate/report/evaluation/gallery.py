"""Right and wrong answers with their demonstrations: a sample even over benchmarks, shots and who was right."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import exp, isfinite
from typing import Any

from curate.benches import Bench, Item
from curate.errors import InputError
from curate.evaluations import Answer
from curate.report.evaluation.board import Board, Task
from curate.report.gallery import turn_of
from curate.report.pictures import Album
from curate.report.wording import short
from curate.seeding import rng

RIGHT = 0.5
"""An answer counts as right from here."""
MOST_TURNS = 12
"""Demonstrations of an item from which on it is shown only where a benchmark has no shorter ones."""


@dataclass(frozen=True)
class Exhibit:
    """An item and what each model answered, None where it was not asked."""

    task: Task
    item: Item
    answers: tuple[Answer | None, ...]

    @property
    def pattern(self) -> tuple[bool | None, ...]:
        """Who was right."""
        return tuple(answer.right >= RIGHT if answer else None for answer in self.answers)


@dataclass(frozen=True)
class Hall:
    """The pictures of several benchmarks."""

    benches: Sequence[Bench]

    def get(self, ref: str) -> bytes:
        """A picture from whichever benchmark has it."""
        for bench in self.benches:
            if ref in bench.images:
                return bench.picture(ref)
        raise InputError(f"picture {ref[:12]}… is missing")


def exhibits(board: Board, benches: Mapping[Task, Bench], most: int, seed: int) -> list[Exhibit]:
    """At most so many items, one of a question, taken in turn from every benchmark, number of shots and pattern of right
    and wrong; equal evaluations and seeds give equal exhibits."""
    groups: dict[tuple[Any, ...], list[Exhibit]] = {}
    for task, bench in benches.items():
        for one in _shown(board, task, bench):
            groups.setdefault((task.label, one.item.shots, one.pattern), []).append(one)
    for key, found in groups.items():
        order = rng(seed, "report", repr(key)).permutation(len(found))
        groups[key] = [found[at] for at in order[:most]]
    ordered = sorted(groups, key=lambda key: (rng(seed, "report", repr(key[2])).random(), key[1], key[0]))
    rounds = zip_longest(*(groups[key] for key in ordered))
    return [one for turn in rounds for one in turn if one is not None][:most]


def _shown(board: Board, task: Task, bench: Bench) -> Iterator[Exhibit]:
    """One item of each question at each number of shots, with all models' answers."""
    items = [item for item in bench.items if item.shots in task.shots]
    brief = [item for item in items if len(item.episode.demonstrations) <= MOST_TURNS] or items
    answers = {shots: _answers(board, task, shots) for shots in {item.shots for item in brief}}
    seen: set[tuple[int, str]] = set()
    for item in brief:
        found = tuple(known.get(item.id) for known in answers[item.shots])
        if any(found) and (item.shots, item.group) not in seen:
            seen.add((item.shots, item.group))
            yield Exhibit(task, item, found)


def _answers(board: Board, task: Task, shots: int) -> list[dict[str, Answer]]:
    """By item for every model; of several seeds those of the first."""
    found = []
    for model in board.models:
        run, condition = model.runs[0], board.stored(model, task, shots)
        asked = run.answers(task.bench, condition, shots) if board.row(model, 0, task, condition, shots) else []
        found.append({answer.item: answer for answer in asked if isinstance(answer.item, str)})
    return found


def card_of(board: Board, exhibit: Exhibit, number: int, album: Album) -> dict[str, Any]:
    """An exhibit as plain data for the page's script."""
    item, episode = exhibit.item, exhibit.item.episode
    said = [
        {"series": model.series, "model": model.name, **_said(item, answer)}
        for model, answer in zip(board.models, exhibit.answers, strict=True)
        if answer
    ]
    return {
        "number": number, "bench": exhibit.task.label, "shots": str(item.shots), "id": short(item.id),
        "concept": short(episode.concept), "source": short(episode.source), "licence": short(episode.licence),
        "record": short(episode.provenance.record),
        "accepted": [short(answer) for answer in dict.fromkeys(item.answers)], "answers": said,
        "outcomes": outcomes(said), "turns": [turn_of(shot, album) for shot in (*episode.demonstrations, episode.query)],
    }  # fmt: skip


def _said(item: Item, answer: Answer) -> dict[str, Any]:
    return {
        "said": short(str(answer.said if answer.said is not None else answer.choice or "")),
        "right": answer.right >= RIGHT,
        "share": _share(item, answer),
        "means": _means(item, answer.choice),
    }


def _share(item: Item, answer: Answer) -> float | None:
    """The probability of what was chosen among the choices."""
    scores = answer.scores
    if not scores or len(scores) != len(item.choices) or answer.choice not in item.choices:
        return None
    if not all(map(isfinite, scores)):
        return None
    weights = [exp(score - max(scores)) for score in scores]
    return round(weights[item.choices.index(answer.choice)] / sum(weights), 4)


def _means(item: Item, choice: str | None) -> str:
    """What a letter stands for."""
    options = item.episode.query.options
    if choice not in item.choices or len(options) != len(item.choices):
        return ""
    meant = options[item.choices.index(choice)]
    return "" if meant == choice else short(meant)


def outcomes(said: Iterable[Mapping[str, Any]]) -> list[str]:
    """What an exhibit can be looked for by."""
    listed = list(said)
    rights = {one["right"] for one in listed}
    together = (
        [] if len(listed) < 2 else ["models differ"] if len(rights) > 1 else ["all right"] if True in rights else ["all wrong"]
    )
    return together + [f"{one['model']}: {'right' if one['right'] else 'wrong'}" for one in listed]


def outcome_order(board: Board) -> list[str]:
    """Outcomes in the order in which a page lists them."""
    single = [f"{model.name}: {said}" for model in board.models for said in ("right", "wrong")]
    return ["models differ", "all right", "all wrong", *single]
