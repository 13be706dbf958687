"""What copying gets in few-shot captioning as OpenFlamingo asks for it: a part of bench_shortcuts.py.

Captioned pictures are written as two halves in COCO's layout, queries and the set that demonstrations are drawn from, and read
back by `curate bench import flamingo` with random and with nearest (RICES) demonstrations. Each rule's caption is scored as a
model's would be, by CIDEr and ROUGE-L.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from curate.benches import Item
from curate.benchmarks.importing.bring import bring, prepare
from curate.demonstrations.importing import import_set
from curate.engine import read_stage
from curate.layout import Run
from curate.schema import Demonstration, Shot, from_table
from train.evaluate.captions import cider, rouge_l

THINGS = ["animals/*", "food/*", "plants/*", "transportation/*"]
NO_TITLES = ["*gramastar*", "*icon*", "*theme*", "clipart by *", "various *", "*submission*", "*sibmission*", "*illustration"]
SETS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "stamps": ("captions", "sample:tuxpaint-stamps-default", {"skip_folders": ["cartoon", "00 symbols"]}),
    "clip art": ("clipart", "sample:openclipart-svg", {"include": THINGS, "boilerplate": NO_TITLES}),
}
"""What is captioned: name -> importer, sample, settings."""

Says = Callable[[Sequence[Shot]], str]
RULES: dict[str, Says] = {
    "copy-first": lambda shots: shots[0].answer,
    "copy-last": lambda shots: shots[-1].answer,
    "copy-nearest": lambda shots: max(shots, key=lambda shot: -1.0 if shot.similarity is None else shot.similarity).answer,
}
COLUMNS = ("commonest", *RULES, "reference")


@dataclass(frozen=True)
class Row:
    """A set, how demonstrations are chosen, and their number."""

    name: str
    shots: int
    items: int
    scores: dict[str, tuple[float, float]]  # rule -> (100 times CIDEr, 100 times ROUGE-L)


def caption_rows(folder: Path, queries: int, shots: Sequence[int] = (4, 8)) -> Iterator[Row]:
    """All rows of a table, with everything they need written below `folder`."""
    for name, (kind, sample, settings) in SETS.items():
        place = folder / name.replace(" ", "-")
        place.mkdir()
        commonest = write_halves(captioned(kind, sample, settings, place), place)
        for select in ("random", "rices"):
            told = {
                "shots": list(shots),
                "queries": queries,
                "select": select,
                "encoder": "offline" if select == "rices" else "",
            }
            items = bring("flamingo", place, prepare("flamingo", told, "captions"), 0.0).items
            for count in shots:
                some = [item for item in items if item.shots == count]
                yield Row(f"{name}, {select}", count, len(some), scored(some, commonest))


def captioned(kind: str, sample: str, settings: dict[str, Any], place: Path) -> dict[str, str]:
    """{picture's file name: caption}, every picture once; the files lie in `place`."""
    run = Run.at(place / "run")
    import_set(kind, sample, settings, run, "captioned")
    found: dict[str, str] = {}
    for stage in run.required("demonstrations"):
        for table in read_stage(stage):
            for shown in from_table(table, Demonstration):
                found.setdefault(shown.images[0].ref, shown.answer)
    for ref in found:
        (place / ref).write_bytes(run.images.get(ref))
    return found


def write_halves(found: dict[str, str], place: Path) -> str:
    """Half of the pictures as COCO's val and half as its train, at random; returns the commonest caption of train."""
    refs = sorted(found)
    order = np.random.default_rng(0).permutation(len(refs)).tolist()
    halves = {"val": order[: len(order) // 2], "train": order[len(order) // 2 :]}
    for split, rows in halves.items():
        images = [{"id": at, "file_name": refs[at]} for at in rows]
        told = [{"id": at, "image_id": at, "caption": found[refs[at]]} for at in rows]
        (place / f"captions_{split}.json").write_text(json.dumps({"images": images, "annotations": told}))
    return Counter(found[refs[at]] for at in halves["train"]).most_common(1)[0][0]


def scored(items: Sequence[Item], commonest: str) -> dict[str, tuple[float, float]]:
    """What every rule gets; `reference` says the caption itself, which is the most that can be had."""
    said: dict[str, list[str]] = {"commonest": [commonest] * len(items), "reference": [item.answers[0] for item in items]}
    for name, rule in RULES.items():
        if name != "copy-nearest" or any(shot.similarity is not None for shot in items[0].episode.demonstrations):
            said[name] = [rule(item.episode.demonstrations) for item in items]
    references = {item.group: item.answers for item in items}
    found = {}
    for name, texts in said.items():
        ciders = cider([(item.group, text) for item, text in zip(items, texts, strict=True)], references)
        rouges = [rouge_l(text, item.answers) for item, text in zip(items, texts, strict=True)]
        found[name] = (100 * fmean(ciders), 100 * fmean(rouges))
    return found


def show_captions(rows: Iterable[Row]) -> None:
    """The table, CIDEr / ROUGE-L, row by row."""
    print(f"\n{'captions: CIDEr / ROUGE-L':34} {'shots':>5} {'items':>6} " + " ".join(f"{name:>14}" for name in COLUMNS))
    for row in rows:
        cells = [row.scores.get(name, (math.nan, math.nan)) for name in COLUMNS]
        shown = " ".join(f"{'-' if math.isnan(c) else f'{c:.1f} / {r:.1f}':>14}" for c, r in cells)
        print(f"{row.name:34} {row.shots:>5} {row.items:>6} {shown}", flush=True)
