"""Evaluations that were never run: small benchmarks over drawn pictures, and answers at a stated rate."""

import random
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from curate.benches import Bench, BenchManifest, Item, write_bench
from curate.evaluations import (
    Answer,
    EvaluatedBench,
    EvaluationManifest,
    Row,
    answers_name,
    named_from,
    write_manifest,
    write_rows,
)
from curate.images import verify
from curate.schema import Episode, Image, Provenance, Shot
from curate.statistics import bootstrap, by_group
from curate.storage import Folder, ImageStore, sha256
from tests.conftest import draw_picture

CONTROLS = ("none", "text", "shuffled", "swapped")
CLASSES = ("tabby cat", "red fox", "Äpfel & Birnen", "蝶", "steam engine")
LIST = {"chance": 0.5, "copy-first": 0.5, "copy-last": 0.5, "copy-nearest": 0.72, "majority": 0.5, "knn": 0.88}


@cache
def drawn(seed: int) -> tuple[bytes, Image]:
    """A picture and what its record says."""
    data = draw_picture(seed, (96, 96))
    facts = verify(data)
    return data, Image(f"{sha256(data)}.{facts.extension}", facts.width, facts.height, facts.phash)


def image(store: ImageStore, seed: int) -> Image:
    """A drawn picture, stored."""
    data, record = drawn(seed)
    if record.ref not in store:
        store.put(data, record.ref.split(".")[1])
    return record


def turn(store: ImageStore, seed: int, role: Any, label: str, letter: str, options: tuple[str, ...]) -> Shot:
    """A demonstration or the query, with options in the question."""
    question = "Which is it?" + "".join(f"\n{name}: {text}" for name, text in zip("AB", options, strict=False))
    near = None if role == "query" else 0.9
    return Shot(role, near, f"demo-{seed}", "", (image(store, seed),), question, letter, label, options)


def item(store: ImageStore, name: str, group: int, shots: int, arrangement: int) -> Item:
    """A 2-way item in one of four arrangements: where the positive stands, how the options are ordered."""
    own, other = CLASSES[group % 5], CLASSES[(group + 1) % 5]
    options = (own, other) if arrangement % 2 else (other, own)
    right = "A" if arrangement % 2 else "B"
    wrong = "B" if arrangement % 2 else "A"
    pair = [("positive", own, right), ("negative", other, wrong)]
    turns = [
        turn(store, 5 * k + group % 5 + at, *pair[at if arrangement < 2 else 1 - at], options)
        for k in range(shots)
        for at in (0, 1)
    ]
    query = turn(store, 50 + group % 7, "query", own, right, options)
    key = f"{name}-{group}-{shots}-{arrangement}"
    episode = Episode(key, "category", own, "multiple_choice", tuple(turns), query, "bench", "bench", "0" * 64, 7, "drawn",
                      "CC0-1.0", Provenance("drawn", f"{group}.png"))  # fmt: skip
    return Item(key, f"{name}-{group}-{shots}", shots, 2, ("A", "B"), (right,), episode)


def bench(folder: Path, name: str, shots: tuple[int, ...] = (0, 1, 2, 4), groups: int = 12, **more: Any) -> Bench:
    """A benchmark of `groups` questions at each number of shots, four arrangements each."""
    place = Folder.of(folder / name)
    store = ImageStore.at(place / "images")
    items = [item(store, name, g, k, a) for k in shots for g in range(groups) for a in range(4 if k else 2)]
    baselines = {str(k): LIST if k else {"chance": 0.5} for k in shots}
    facts: dict[str, Any] = {
        "format": 1, "name": name, "version": "1", "title": "Which of two is it?", "kind": "choice", "metric": "choice",
        "domain": "drawn", "spec": {}, "counts": {}, "baselines": baselines, "disjoint": {},
    }  # fmt: skip
    return write_bench(place, BenchManifest(**{**facts, **more}), items)


def answered(one: Item, rate: float, dice: random.Random) -> Answer:
    """An answer that is right at a rate; a question is as hard in all its arrangements."""
    hard = random.Random(one.group).random()
    right = dice.random() < min(1.0, max(0.0, rate + 0.4 * (0.5 - hard)))
    choice = one.answers[0] if right else next(c for c in one.choices if c != one.answers[0])
    scores = tuple(-0.1 if c == choice else -2.0 for c in one.choices)
    return Answer(one.id, one.group, choice, float(right), scores)


def evaluation(folder: Path, benches: list[Bench], rates: Mapping[int, float], seed: int = 0, control: float = 0.5,
               conditions: tuple[str, ...] = CONTROLS, **more: Any) -> Path:  # fmt: skip
    """A finished evaluation: rates are those of right answers by number of shots, `control` that under tampering."""
    place, rows = Folder.of(folder), []
    known = []
    for one in benches:
        facts = one.manifest
        entry = (one.name, one.digest, facts.version, facts.title, facts.kind, facts.metric, facts.domain)
        known.append(EvaluatedBench(*entry, named_from(place, one.folder)))
        cells = [("full", shots) for shots in one.shots]
        cells += [(c, max(one.shots)) for c in conditions if c != "none" and max(one.shots)]
        cells += [("none", 0)] if "none" in conditions and 0 not in one.shots else []
        for condition, shots in cells:
            asked = [i for i in one.items if i.shots == (shots if condition != "none" else min(one.shots))]
            rate = rates.get(shots, 0.5) if condition == "full" else control
            dice = random.Random(f"{seed} {one.name} {condition} {shots}")
            rows.append(cell(place, one, condition, shots, [answered(i, rate, dice) for i in asked]))
    manifest = {"format": 1, "name": folder.name, "model": {"parameters": 139, "hash": "ab" * 8}, "settings": {"limit": None}}
    write_manifest(place, EvaluationManifest(**{**manifest, "benches": tuple(known), **more}))
    write_rows(place, rows)
    return folder


def cell(place: Folder, one: Bench, condition: str, shots: int, answers: list[Answer]) -> Row:
    """Stores answers, and their row."""
    place.write(answers_name(one.name, condition, shots), "".join(answer.line() for answer in answers).encode())
    rights, groups = [answer.right for answer in answers], [answer.group for answer in answers]
    mean = bootstrap(rights, groups, draws=500)
    sure = by_group(rights, groups).values()
    baselines = one.manifest.baselines.get(str(shots), {}) if condition == "full" else {}
    return Row(
        one.name, one.digest, one.manifest.domain, "choice", shots, condition, len(answers), len(sure), mean.mean, mean.low,
        mean.high, sum(value == 1 for value in sure) / len(sure), 0.5, baselines, 0,
        {"first": 0.5, "last": 0.6, "nearest": 0.7} if shots else {},
    )  # fmt: skip
