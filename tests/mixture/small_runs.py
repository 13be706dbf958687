"""Small sources for the mixture's tests: runs with shards, and shards that hold whatever a test wants."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from curate.engine import Partition, PartWriter
from curate.engine import run as run_stage
from curate.layout import Run
from curate.mixture.build import Mixing, build_plan, mixing
from curate.mixture.settings import MixSpec
from curate.mixture.sources import Source, open_source
from curate.schema import Episode, Shot
from curate.settings import Settings, build
from curate.shards import ShardSettings, write_shards
from curate.shards.plans import Plan
from curate.shards.tar import TarSink
from curate.storage import Folder, sha256, table_bytes
from tests.shards.conftest import Pool

Members = Sequence[tuple[str, bytes]]
SHOTS, FORMATS, TASKS = (0, 1, 2, 4), ("multiple_choice", "open_qa", "caption"), ("category", "attribute")


def varied_run(folder: Path, draw: Callable[..., bytes], episodes: int = 48, first: int = 0) -> Run:
    """A run with shards of seven episodes: all shots with all formats, similarities and roles that differ."""
    pool = Pool(Run.at(folder), draw)
    run = pool.build([episode(pool, number) for number in range(first, first + episodes)])
    write_shards(run, ShardSettings(max_episodes=7))
    return run


def episode(pool: Pool, number: int) -> Episode:
    """Episode `number`: shots, format, task, concept and the length of its answers follow from its number."""
    shots, kind = SHOTS[number % 4], FORMATS[number // 4 % 3]
    made = pool.episode(number, shots, 1 + (number % 11 == 0), kind)
    turns = tuple(_shot(turn, place, number) for place, turn in enumerate(made.demonstrations))
    query = replace(made.query, answer="a" * (1 + number * 7 % 40))
    selector = ("random", "rices")[number % 2]
    return replace(made, demonstrations=turns, query=query, task=TASKS[number // 2 % 2], selector=selector)


def _shot(turn: Shot, place: int, number: int) -> Shot:
    role = "negative" if place % 2 else "positive"
    return replace(turn, role=role, similarity=round(((number * 13 + place * 29) % 97) / 97, 4))  # type: ignore[arg-type]


class HandMade:
    """Stands for the shards' stage: writes the samples that it is given."""

    name, version = "shards", "test"

    def __init__(self) -> None:
        self.settings = Settings()

    def setup(self) -> None:
        pass

    def process(self, payload: Sequence[tuple[str, Members]], part: PartWriter) -> None:
        part.saw(len(payload))
        with part.open("tar") as out:
            sink = TarSink(out)
            for key, members in payload:
                sink.add(key, members)
            digest = sink.close()
        part.hashed("tar", digest, records=sink.samples)
        part.file("index.parquet", table_bytes(sink.index()))


def hand_made(folder: Path, samples: Sequence[tuple[str, Members]] | None) -> Path:
    """One shard of any members, with an honest index and manifest; no shard at all for None."""
    parts = [] if samples is None else [Partition(sha256(repr(samples).encode()), list(samples))]
    run_stage(HandMade(), parts, Folder.of(folder))
    return folder


def record(**more: Any) -> dict[str, Any]:
    """A KEY.json as small as it can be: one question about one picture."""
    image = {"ref": "0" * 64 + ".png", "width": 56, "height": 30, "phash": "0" * 16}
    query = {
        "role": "query", "similarity": None, "demonstration_id": "d", "document_id": "", "images": [image],
        "question": "What?", "answer": "a cat", "label": "a cat", "options": [],
    }  # fmt: skip
    words = dict.fromkeys(("task", "concept", "format", "selector", "order", "source", "licence", "settings"), "x")
    return {
        "id": "e", **words, "demonstrations": [], "query": query, "seed": 0, "images": 1, "turns": [[0]],
        "members": ["0.png"], "provenance": {"source": "s", "record": "r", "lineage": []}, **more,
    }  # fmt: skip


def as_member(data: dict[str, Any]) -> bytes:
    """A record as KEY.json."""
    return json.dumps(data).encode()


def spec_of(*runs: Run | Path | str, **more: Any) -> MixSpec:
    """A spec over runs that are called a, b, c, ...; `more` may say `names` for their settings."""
    each: dict[str, dict[str, Any]] = more.pop("each", {})
    sources = [
        {"name": name, "run": run.root.uri if isinstance(run, Run) else str(run), **each.get(name, {})}
        for name, run in zip("abcdef", runs, strict=False)
    ]
    return build(MixSpec, {"sources": sources, **more})


def opened(spec: MixSpec) -> list[Source]:
    """The sources of a spec whose paths are absolute."""
    return [open_source(source, spec, source.run or source.shards) for source in spec.sources]


def planned(spec: MixSpec, folder: Path, how: Mixing | None = None) -> Plan:
    """The plan of a spec."""
    return build_plan(spec, opened(spec), how or mixing(Folder.of(folder)))
