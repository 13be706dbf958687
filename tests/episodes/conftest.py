"""Pools of made-up demonstrations: concepts, documents, near-duplicates and unit vectors that cluster by concept."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from curate.episodes.neighbours import ExactSearch
from curate.episodes.pool import Pool
from curate.episodes.settings import EpisodeSettings
from curate.episodes.stage import Builder
from curate.schema import Demonstration, Episode, Image, Provenance, from_table


class Ear:
    """A PartWriter that only listens."""

    def __init__(self) -> None:
        self.seen = 0
        self.dropped: list[tuple[str, str]] = []
        self.tallies: dict[tuple[str, str], int] = {}

    def saw(self, records: int = 1) -> None:
        self.seen += records

    def drop(self, record: str, reason: str, detail: str = "") -> None:
        self.dropped.append((record, reason))

    reject = drop

    def tally(self, kind: str, name: str, count: int = 1) -> None:
        self.tallies[kind, name] = self.tallies.get((kind, name), 0) + count


def demonstration(number: int, **changes: Any) -> Demonstration:
    """Demonstration `number`; `image` and `phash` set what its picture is."""
    dice = np.random.default_rng(number)
    ref = hashlib.sha256(str(changes.pop("image", number)).encode()).hexdigest() + ".png"
    phash = changes.pop("phash", f"{int(dice.integers(2**63)):016x}")
    plain: dict[str, Any] = {
        "id": f"d{number:05d}",
        "images": (Image(ref, 64, 48, phash),),
        "question": "What is it?",
        "answer": f"answer {number}",
        "task": "category",
        "concepts": (),
        "format": "open_qa",
        "document_id": "",
        "context": "",
        "source": "made up",
        "licence": "CC0-1.0",
        "provenance": Provenance("made up", str(number), ("import:0123",)),
    }
    return Demonstration(**{**plain, **changes})


def make_pool(count: int, concepts: int = 20, seed: int = 0, captions: bool = False) -> Pool:
    """`count` demonstrations of `concepts` concepts under five kinds, vectors around a centre for each concept."""
    dice = np.random.default_rng(seed)
    which = dice.integers(concepts, size=count)
    demos = [
        demonstration(
            i,
            answer=f"Picture {i} of thing {c}" if captions else f"thing {c}",
            question="" if captions else "What is it?",
            format="caption" if captions else "open_qa",
            concepts=(f"thing {c}", f"kind {c % 5}"),
            document_id=f"page {i // 3}" if i % 2 else "",
        )
        for i, c in enumerate(which.tolist())
    ]
    centres = dice.normal(size=(concepts, 32))
    vectors = centres[which] + 0.7 * dice.normal(size=(count, 32))
    return Pool.of(demos, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def build(pool: Pool, settings: EpisodeSettings, ear: Ear | None = None, part: int = 512) -> list[Episode]:
    """All episodes of a pool, part by part as the stage makes them."""
    search = ExactSearch(pool) if pool.vectors is not None else None
    builder, ear = Builder(pool, settings, search), ear or Ear()
    rows = np.random.default_rng(1).permutation(len(pool))[: settings.limit]
    return [
        episode
        for start in range(0, len(rows), part)
        for episode in from_table(builder.build(rows[start : start + part], ear), Episode)  # type: ignore[arg-type]
    ]


@pytest.fixture(scope="session")
def made() -> Callable[..., Any]:
    """The helpers of this file, as a namespace."""

    class Made:
        Ear = Ear
        demonstration = staticmethod(demonstration)
        make_pool = staticmethod(make_pool)
        build = staticmethod(build)

    return Made  # type: ignore[return-value]
