"""A step of the loader in a form that a person can read: what lies where in every row, and what is learned.

`step_rows` says which episodes a step holds, `shown` renders them and cuts each into pieces of text and
pictures, `as_text` writes that for a terminal or a file.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.errors import InputError, IntegrityError
from curate.shards.plans import Plan
from train.data.lengths import Lengths
from train.data.loader import LoaderSettings, rows_of
from train.data.reading import SampleReader
from train.data.records import BadSample, Fault, Loaded, Rendered
from train.data.rendering import Renderer
from train.data.rendering.turns import read_turns
from train.data.steps import Cursor, Episodes, steps


@dataclass(frozen=True)
class Piece:
    """A stretch of tokens of one kind: text of one weight, or a picture."""

    start: int  # position inside the episode
    tokens: int
    text: str  # "" for a picture
    weight: float  # of the loss; 0 is not learned
    image: int | None = None  # which of the sample's pictures


@dataclass(frozen=True)
class ShownEpisode:
    """An episode in its row, or why it is not there."""

    sample: int
    key: str
    shard: str
    source: str
    format: str
    shots: int  # demonstrations that remain
    dropped: int
    start: int  # its first position in the row; positions inside an episode count from 0
    tokens: int
    image_tokens: int
    supervised: int
    pieces: tuple[Piece, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class ShownRow:
    """One row of a batch."""

    row: int
    positions: int  # that the row offers
    filled: int
    episodes: tuple[ShownEpisode, ...]

    @property
    def padding(self) -> float:
        """Share of the row that is padding."""
        return 1 - self.filled / self.positions if self.positions else 0.0


def step_rows(plan: Plan, lengths: Lengths, settings: LoaderSettings, step: int) -> tuple[Episodes, ...]:
    """Sample numbers of the rows that the loader serves at a step; InputError behind the last one."""
    rows = rows_of(plan, settings, lengths)
    served = steps(rows, settings.batch, Cursor(), 0, settings.epochs)
    found = next(itertools.islice(served, step, None), None)
    if found is None:
        raise InputError(
            f"{plan.folder.uri} has no step {step}: {settings.epochs or 0} epoch(s) end before; give an earlier one"
        )
    return found.rows


def shown(plan: Plan, renderer: Renderer, rows: Sequence[Episodes], positions: int | None) -> Iterator[ShownRow]:
    """The rows of a step, rendered. `positions` of a row, or None where each is as long as the longest."""
    reader = SampleReader(plan)
    made = [[_episode(plan, renderer, read) for read in reader.read(list(row), pictures=False)] for row in rows]
    longest = max((sum(episode.tokens for episode in row) for row in made), default=0)
    for number, row in enumerate(made):
        starts = [0, *itertools.accumulate(episode.tokens for episode in row)]
        placed = tuple(ShownEpisode(**{**vars(episode), "start": start}) for episode, start in zip(row, starts, strict=False))
        yield ShownRow(number, positions or longest, starts[-1], placed)


def _episode(plan: Plan, renderer: Renderer, read: Loaded | Fault) -> ShownEpisode:
    number = read.sample if isinstance(read, Fault) else read.number
    known: dict[str, Any] = {"sample": number, "key": plan.key(number), "shard": plan.shards[plan.shard_of(number)][1]}
    known |= {name: str(plan.samples.column(name)[number].as_py() or "") for name in ("source", "format")}
    zero: dict[str, Any] = dict.fromkeys(("shots", "dropped", "start", "tokens", "image_tokens", "supervised"), 0)
    if isinstance(read, Fault):
        return ShownEpisode(**known, **zero, fault=f"{read.reason} {read.detail}".strip())
    try:
        record = read.sample.record
        rendered = renderer.render(record)
    except (BadSample, IntegrityError, RecursionError) as error:
        return ShownEpisode(**known, **zero, fault=str(error))
    measures = {
        "shots": len(rendered.kept),
        "dropped": len(record["demonstrations"]) - len(rendered.kept),
        "tokens": len(rendered.input_ids),
        "image_tokens": rendered.image_tokens,
        "supervised": int(np.count_nonzero(rendered.weights)),
    }
    return ShownEpisode(**known, **zero | measures, pieces=tuple(_pieces(renderer, record, rendered)))


def _pieces(renderer: Renderer, record: Mapping[str, Any], rendered: Rendered) -> Iterator[Piece]:
    at = 0
    for image, start, stop in _images(renderer, record, rendered):
        yield from _texts(renderer, rendered, at, start)
        yield Piece(start, stop - start, "", 0.0, image)
        at = stop
    yield from _texts(renderer, rendered, at, len(rendered.input_ids))


def _images(renderer: Renderer, record: Mapping[str, Any], rendered: Rendered) -> Iterator[tuple[int, int, int]]:
    """(image, start, stop) of every picture's tokens. A picture may begin with other tokens than the placeholder."""
    sizes = {place: size for turn in read_turns(record) for place, size in zip(turn.places, turn.sizes, strict=True)}
    places, at = np.flatnonzero(rendered.input_ids == renderer.placeholder), 0
    for image in rendered.images:
        ids = renderer.picture(sizes[image])
        first = int(places[np.searchsorted(places, at)]) - int(np.argmax(ids == renderer.placeholder))
        at = first + len(ids)
        yield image, first, at


def _texts(renderer: Renderer, rendered: Rendered, start: int, stop: int) -> Iterator[Piece]:
    """Stretches of text of one answer and weight each."""
    answers = rendered.answers[start:stop]
    cuts = [0, *(np.flatnonzero(np.diff(answers)) + 1).tolist(), len(answers)]
    for low, high in itertools.pairwise(cuts):
        if high > low:
            ids = rendered.input_ids[start + low : start + high].tolist()
            text = renderer.processor.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
            yield Piece(start + low, high - low, str(text), float(rendered.weights[start + low]))
