"""The episodes that the page shows, as plain data for its script."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, TypeVar

from curate.report.pictures import Album
from curate.report.wording import short
from curate.schema import Episode, Shot

T = TypeVar("T")


class Turn(TypedDict):
    """A demonstration or the query."""

    role: str
    similarity: float | None
    pictures: list[int]  # numbers of thumbnails, -1 for a missing one
    question: str
    answer: str
    label: str
    demonstration: str
    document: str


class Card(TypedDict):
    """One episode of the gallery."""

    number: int
    id: str
    concept: str
    format: str
    task: str
    selector: str
    order: str
    source: str
    licence: str
    record: str
    lineage: list[str]
    seed: int
    turns: list[Turn]  # demonstrations in order, then the query


@dataclass
class Gallery:
    """Cards and the pictures they show."""

    cards: list[Mapping[str, Any]] = field(default_factory=list)
    thumbnails: list[str] = field(default_factory=list)
    missing: int = 0  # pictures that could not be shown
    wanted: int = 0  # cards that would have been shown if the page had no size limit


def hang(things: Iterable[T], make: Callable[[T, int, Album], Mapping[str, Any]], album: Album, budget: int) -> Gallery:
    """Cards for as many things, in order, as fit `budget` bytes with their pictures; `make` is told a thing's number."""
    gallery, spent, full = Gallery(), 0, False
    for thing in things:
        gallery.wanted += 1
        if full:
            continue
        before = len(album.thumbnails)
        card = make(thing, len(gallery.cards) + 1, album)
        size = size_of(card) + sum(len(thumbnail) + 3 for thumbnail in album.thumbnails[before:])
        full = spent + size > budget
        if full:
            album.drop_after(before)
        else:
            gallery.cards.append(card)
            spent += size
    gallery.thumbnails, gallery.missing = album.thumbnails, len(album.missing)
    return gallery


def size_of(card: Mapping[str, Any]) -> int:
    """Bytes that a card takes in the page: escapes of <, >, & and other characters counted."""
    text = json.dumps(card, separators=(",", ":"))
    return len(text) + 5 * sum(text.count(sign) for sign in "<>&'") + 1


def card_of(episode: Episode, number: int, album: Album) -> Card:
    """An episode as plain data."""
    return {
        "number": number,
        "id": short(episode.id),
        "concept": short(episode.concept),
        "format": short(episode.format),
        "task": short(episode.task),
        "selector": short(episode.selector),
        "order": short(episode.order),
        "source": short(episode.source),
        "licence": short(episode.licence),
        "record": short(episode.provenance.record),
        "lineage": [short(step) for step in episode.provenance.lineage],
        "seed": episode.seed,
        "turns": [turn_of(shot, album) for shot in (*episode.demonstrations, episode.query)],
    }


def turn_of(shot: Shot, album: Album) -> Turn:
    """A turn as plain data."""
    known = shot.similarity is not None and abs(shot.similarity) <= 2  # NaN fails every comparison
    return {
        "role": shot.role,
        "similarity": round(shot.similarity, 4) if known and shot.similarity is not None else None,
        "pictures": [album.number_of(image.ref) for image in shot.images],
        "question": short(shot.question),
        "answer": short(shot.answer),
        "label": short(shot.label),
        "demonstration": short(shot.demonstration_id),
        "document": short(shot.document_id),
    }
