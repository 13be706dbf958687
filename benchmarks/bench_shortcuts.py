"""Which shortcuts few-shot formats let through: published ones rebuilt from real pictures, beside ours, in one run.

    python benchmarks/bench_shortcuts.py [--run RUN] [--queries 120] [--only captions]

The pictures are a class-labelled run's, by default tuxpaint's stamps in their class folders. From them are written, as
the projects write them, and read back by `curate bench import`: the LLaVA conversations of the paper's fine-grained 2-way
1-shot set (positive first, both option orders), VL-ICL Bench's open-ended naming, matching and operator induction, and
OpenFlamingo's few-shot questions with random and with nearest (RICES) demonstrations. Ours are built by the kinds of
`curate bench build`. Every row is scored by answerers without a model; only copy-nearest and kNN see a query's picture. The
first table is few-shot captioning (shortcut_captions.py); the last asks how much of a composed picture's count its ink, its
objects' size and the ground they cover give away.
"""

import argparse
import json
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from common import sample_or_skip, say_machine
from shortcut_captions import SETS, caption_rows, show_captions

from curate.benches import Item
from curate.benchmarks.baselines import baselines
from curate.benchmarks.composing import SceneSettings, cutouts, scatter
from curate.benchmarks.importing.bring import bring, prepare
from curate.benchmarks.kinds import KINDS
from curate.benchmarks.kinds.operators import Numbers
from curate.benchmarks.material import Material, Training, read_material
from curate.demonstrations.importing import import_set
from curate.encoders import EmbedSettings, embed
from curate.layout import Run
from curate.settings import build

COLUMNS = ("chance", "constant", "copy-first", "copy-last", "majority", "letter", "words", "copy-nearest", "knn")
CUES = ("ink", "mean size", "largest size", "ground covered")
DIGITS = [(a, b) for a in range(10) for b in range(a + 1)]
"""No difference is negative: the published scorer reads numbers without a sign."""
SIGNS: dict[str, Callable[[int, int], int]] = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "x": lambda a, b: a * b}


@dataclass(frozen=True)
class Row:
    """A format at a number of shots."""

    name: str
    shots: str
    items: int
    scores: dict[str, float]


class Classes:
    """Pictures by class, in a random order that is always the same."""

    def __init__(self, material: Material, folder: Path) -> None:
        self._material, self._folder = material, folder
        self.dice = np.random.default_rng(0)
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for shown, fault in zip(material.demonstrations, material.faults, strict=True):
            if shown.task == "category" and not fault:
                found[shown.answer].setdefault(shown.images[0].ref, shown.images[0].ref)
        self.of = {name: self.mixed(list(refs)) for name, refs in found.items() if len(refs) > 3}

    def mixed(self, things: Sequence[Any]) -> list[Any]:
        return [things[at] for at in self.dice.permutation(len(things)).tolist()]

    def pair(self) -> tuple[str, str]:
        one, other = self.mixed(list(self.of))[:2]
        return one, other

    def draw(self, name: str, count: int) -> list[str]:
        return [self.put(ref) for ref in self.mixed(self.of[name])[:count]]

    def put(self, ref: str) -> str:
        place = self._folder / ref
        if not place.exists():
            place.write_bytes(self._material.run.images.get(ref))
        return ref


def paper(classes: Classes, folder: Path, queries: int) -> list[Row]:
    """LLaVA conversations: positive, negative, query; the options in the same order in all three turns, and in both orders."""
    rows = []
    for at in range(queries):
        own, other = classes.pair()
        query, positive = classes.draw(own, 2)
        (negative,) = classes.draw(other, 1)
        for order in ((own, other), (other, own)):
            asked = f"<image>\nWhich is it?\nA. {order[0]}\nB. {order[1]}"
            told = [(positive, own), (negative, other), (query, own)]
            turns = [(asked, "AB"[order.index(name)]) for _, name in told]
            said = [{"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)]
            rows.append({"id": f"{at}-{order.index(own)}", "image": [picture for picture, _ in told], "conversations": said})
    (folder / "paper.json").write_text(json.dumps(rows))
    return imported("paper: fine-grained 2-way 1-shot", "llava", folder / "paper.json", classes=2)


def naming(classes: Classes, folder: Path, queries: int) -> list[Row]:
    """VL-ICL Bench's open-ended naming: five classes a query, made-up words, two of them shown."""
    words, rows = [f"{a}{b}" for a, b in product(("dax", "perp", "slat", "wug", "blick"), ("en", "um", "o"))], []
    for at in range(queries):
        five = classes.mixed(list(classes.of))[:5]
        names = dict(zip(five, classes.mixed(words), strict=False))
        query, *first = classes.draw(five[0], 3)
        support = {names[name]: {"images": first if name == five[0] else classes.draw(name, 2)} for name in five}
        row = {
            "image": [query],
            "question": "This is a",
            "answer": names[five[0]],
            "classes": list(support),
            "support": support,
        }
        rows.append({"id": at, **row})
    task(folder, rows, [])
    return imported("VL-ICL: open-ended naming", "vl-icl", folder, shots=[1, 2], scoring="choice")


def matching(classes: Classes, folder: Path, queries: int) -> list[Row]:
    """VL-ICL Bench's matching: is it the same class? Every demonstration pair is a yes, then a no."""

    def ask(same: bool) -> dict[str, Any]:
        one, other = classes.pair()
        pictures = classes.draw(one, 2) if same else [*classes.draw(one, 1), *classes.draw(other, 1)]
        return {"image": pictures, "question": "Do the two pictures show the same?", "answer": "yes" if same else "no"}

    support = [{"id": at, "same": ask(True), "diff": ask(False)} for at in range(40)]
    task(folder, [{"id": at, **ask(at % 2 == 0)} for at in range(queries)], support)
    return imported("VL-ICL: matching pairs", "vl-icl", folder, shots=[1, 2], scoring="choice")


def operators(classes: Classes, folder: Path, queries: int) -> list[Row]:
    """VL-ICL Bench's operator induction on digits 0-9: any demonstrations, their answers by the query's operator.

    The pictures of the digits play no part in what blind answerers do, so any picture stands for them.
    """
    pairs = classes.mixed(DIGITS)
    pictures = [classes.draw(name, 1)[0] for name in list(classes.of)[:2]]
    asked, shown = pairs[:30], pairs[30:]
    support = [
        {
            "id": f"{a},{b}",
            "image": pictures[0],
            "question": "What is the result?",
            "answer": [f(a, b) for f in SIGNS.values()],
        }
        for a, b in shown
    ]
    rows = [
        {"id": f"{a},{b},{sign}", "image": pictures[1], "question": "What is the result?", "operator": sign, "answer": f(a, b)}
        for (a, b), (sign, f) in product(asked[: queries // 3], SIGNS.items())
    ]
    task(folder, rows, support)
    return imported("VL-ICL: operator induction", "vl-icl", folder, shots=[1, 2, 4])


def flamingo(classes: Classes, folder: Path, queries: int, select: str) -> list[Row]:
    """OpenFlamingo's few-shot questions over all pictures of the run's classes."""
    asked = [(classes.put(ref), name) for name, refs in classes.of.items() for ref in refs[:12]]
    questions = [
        {"question_id": at, "image_id": ref, "question": "What kind of thing is this?"} for at, (ref, _) in enumerate(asked)
    ]
    told = [{"question_id": at, "answers": [{"answer": name}] * 10} for at, (_, name) in enumerate(asked)]
    (folder / "val_questions.json").write_text(json.dumps({"questions": questions}))
    (folder / "val_annotations.json").write_text(json.dumps({"annotations": told}))
    encoder = "offline" if select == "rices" else ""
    # demonstrations come from the train split, which is the same set here; pictures of the query are left out of them
    (folder / "train_questions.json").write_text(json.dumps({"questions": questions}))
    (folder / "train_annotations.json").write_text(json.dumps({"annotations": told}))
    return imported(
        f"OpenFlamingo: {select} questions", "flamingo", folder, shots=[4, 8], queries=queries, select=select, encoder=encoder
    )


def task(folder: Path, queries: list[dict[str, Any]], support: list[dict[str, Any]]) -> None:
    """A task folder of VL-ICL Bench."""
    (folder / "query.json").write_text(json.dumps(queries))
    (folder / "support.json").write_text(json.dumps(support))


def imported(name: str, kind: str, path: Path, **settings: Any) -> list[Row]:
    """What an import of a rebuilt set scores without a model."""
    found = bring(kind, path, prepare(kind, settings, "rebuilt"), 0.0)
    return rows_of(name, found.items, found.manifest.baselines)


def ours(name: str, kind: str, material: Material, **more: Any) -> list[Row]:
    """What one of our kinds scores without a model."""
    spec = build(KINDS.get(kind).settings, {"name": "bench", "kind": kind, "demonstrations": "run", **more})
    items = KINDS.get(kind).build(spec, material, 0).items
    return rows_of(f"ours: {name}", items, baselines(items, KINDS.get(kind).metric))


def rows_of(name: str, items: list[Item], scores: dict[str, dict[str, float]]) -> list[Row]:
    rows = []
    for shots, found in scores.items():
        some = [item for item in items if str(item.shots) == shots]
        letters = [found[rule] for rule in ("copy-first-letter", "copy-last-letter", "majority-letter") if rule in found]
        more = {"letter": max(letters)} if letters else {}
        if (words := words_only(some)) is not None:
            more["words"] = words
        if not some[0].choices:
            commonest = Counter(item.answers[0] for item in some).most_common(1)[0][1]
            more |= {"constant": commonest / len(some), "chance": math.nan}
        rows.append(Row(name, shots, len(some), {**found, **more}))
    return rows


def words_only(items: Sequence[Item]) -> float | None:
    """Credit for guessing the operator from what demonstrations say, numbers being uniform, and computing the query's result.

    None where items are not of operators. The numbers of a query stand in its id or are found by its choices.
    """
    if items[0].episode.task not in ("operator", "operators") or not items[0].episode.demonstrations:
        return None
    credit = 0.0
    for item in items:
        said = [int(shot.answer) for shot in item.episode.demonstrations]
        if item.choices:
            credit += _guess_ours(items, item)
            continue
        a, b, _ = item.group.split(",")
        odds = {sign: math.prod(_odds(sign, value) for value in said) for sign in SIGNS}
        best = [sign for sign in SIGNS if odds[sign] == max(odds.values())]
        credit += [SIGNS[sign](int(a), int(b)) for sign in best].count(int(item.answers[0])) / len(best)
    return credit / len(items)


def _odds(sign: str, value: int) -> float:
    return sum(SIGNS[sign](a, b) == value for a, b in DIGITS) / len(DIGITS)


def _guess_ours(items: Sequence[Item], item: Item) -> float:
    """The best that any rule on words can do: the same words, and so the same choice, for all of a group's answers."""
    words = [shot.answer for shot in item.episode.demonstrations]
    alike = [i for i in items if i.group == item.group and [shot.answer for shot in i.episode.demonstrations] == words]
    return Counter(i.answers[0] for i in alike).most_common(1)[0][1] / len(alike)


def by_numbers(shots: int, trials: int = 4000) -> float:
    """How often the numbers that our demonstrations show, without their answers, let the operator be guessed."""
    numbers, dice = Numbers(("sum", "difference", "product"), 9), np.random.default_rng(0)
    odds: defaultdict[tuple[str, tuple[int, int]], float] = defaultdict(float)
    for operator, value in product(numbers.operators, numbers.values):
        for pair in numbers.giving(operator, value):
            odds[operator, pair] += 1 / len(numbers.giving(operator, value))
    credit = 0.0
    for trial in range(trials):
        operator = numbers.operators[trial % 3]
        shown = [numbers.showing(operator, int(value), dice) for value in dice.permutation(numbers.values)[:shots]]
        likely = [math.prod(odds[name, pair] for pair in shown) for name in numbers.operators]
        best = [name for name, odd in zip(numbers.operators, likely, strict=True) if odd > max(likely) * (1 - 1e-9)]
        credit += (operator in best) / len(best)
    return credit / trials


def cues(material: Material, scenes: int) -> Iterator[tuple[str, float, float]]:
    """(cue, how often it finds the larger of two counts by a threshold, how often the count of six by its neighbours)."""
    settings, dice = SceneSettings(), np.random.default_rng(0)
    cast = []
    for cutout in cutouts(material.demonstrations, material.run.images, settings):
        cast.append(cutout)
        if len(cast) == 60:
            break
    table = np.array([_cues(cast[at % len(cast)], 1 + at % 6, dice, settings) for at in range(scenes)])
    counts = table[:, 0]
    for at, name in enumerate(CUES, 1):
        one, other = dice.integers(0, scenes, (2, 40_000))
        one, other = one[counts[one] != counts[other]], other[counts[one] != counts[other]]
        right = float(((table[one, at] > table[other, at]) == (counts[one] > counts[other])).mean())
        yield name, max(right, 1 - right), _by_neighbours(table[:, at], counts)


def _cues(cutout: Any, count: int, dice: np.random.Generator, settings: SceneSettings) -> list[float]:
    scene = scatter(cutout, count, dice, settings)
    boxes = np.array(scene.boxes)
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    covered = np.prod(boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0))
    return [count, scene.ink, float(sizes.mean()), float(sizes.max()), float(covered)]


def _by_neighbours(values: np.ndarray, counts: np.ndarray, neighbours: int = 50) -> float:
    """Leave-one-out vote of the scenes with the nearest values."""
    near = np.abs(values[:, None] - values[None, :])
    np.fill_diagonal(near, np.inf)
    votes = counts[np.argsort(near, axis=1)[:, :neighbours]].astype(int)
    said = [np.bincount(row).argmax() for row in votes]
    return float((np.array(said) == counts).mean())


def prepared(place: str, folder: Path) -> Material:
    """The run, or one made of tuxpaint's class folders."""
    if not place:
        sample_or_skip("tuxpaint-stamps-default")
        run = Run.at(folder / "run")
        import_set("classes", "sample:tuxpaint-stamps-default", {"skip_folders": ["cartoon", "00 symbols"]}, run, "stamps")
        embed(run, EmbedSettings(image_space="tower"), "demonstrations", 1)
        place = str(folder / "run")
    return read_material(place, Training())


def show(rows: Iterable[Row]) -> None:
    print(f"{'':34} {'shots':>5} {'items':>6} " + " ".join(f"{name:>12}" for name in COLUMNS))
    for row in rows:
        cells = [row.scores.get(name, math.nan) for name in COLUMNS]
        shown = " ".join(f"{'-' if math.isnan(cell) else f'{100 * cell:.1f}':>12}" for cell in cells)
        print(f"{row.name:34} {row.shots:>5} {row.items:>6} {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", default="", help="an embedded run with class-labelled demonstrations of cut-outs")
    parser.add_argument("--queries", type=int, default=120)
    parser.add_argument("--scenes", type=int, default=1200)
    parser.add_argument("--captions", type=int, default=400, help="queries of few-shot captioning")
    parser.add_argument("--only", choices=["captions"], help="one part alone")
    options = parser.parse_args()
    say_machine("numpy", "pillow", "open_clip_torch", "pycocoevalcap", "rouge-score")
    captions(options.captions)
    if not options.only:
        questions(options)


def captions(queries: int) -> None:
    """Few-shot captions, scored by CIDEr and ROUGE-L."""
    for _, sample, _ in SETS.values():
        sample_or_skip(sample.removeprefix("sample:"))
    with tempfile.TemporaryDirectory() as temporary:
        show_captions(caption_rows(Path(temporary), queries))


def questions(options: argparse.Namespace) -> None:
    """Everything that is right or wrong, and what composed pictures give away."""
    with tempfile.TemporaryDirectory() as temporary:
        material = prepared(options.run, Path(temporary))
        rebuilt = {"paper": paper, "naming": naming, "matching": matching, "operators": operators}
        rows: list[Row] = []
        for name, rebuild in rebuilt.items():
            folder = Path(temporary) / name
            folder.mkdir()
            rows += rebuild(Classes(material, folder), folder, options.queries)
        for select in ("random", "rices"):
            folder = Path(temporary) / select
            folder.mkdir()
            rows += flamingo(Classes(material, folder), folder, options.queries, select)
        queries = {"queries": options.queries}
        rows += ours("2-way choice", "choice", material, shots=[1, 2], **queries)
        rows += ours("2-way choice, siblings", "choice", material, shots=[1, 2], distractors="sibling", **queries)
        rows += ours("pseudo-word naming", "naming", material, shots=[1, 2], **queries)
        rows += ours("counting, 4 ways", "counting", material, shots=[1, 2], answers="pseudo", encoder="offline", queries=60)
        rows += ours("operator induction", "operators", material, shots=[1, 2, 4], queries=20)
    show(rows)
    told = ", ".join(f"{shots} shots {100 * by_numbers(shots):.1f}" for shots in (1, 2, 4))
    print(f"\nours: operator guessed from the demonstrations' numbers without their answers (chance 33.3): {told}")
    print(f"\n{'composed pictures, counts 1 to 6':34} {'larger of two':>14} {'of six':>8}   (chance 50.0, 16.7)")
    for name, of_two, of_six in cues(material, options.scenes):
        print(f"{name:34} {100 * of_two:>14.1f} {100 * of_six:>8.1f}")


if __name__ == "__main__":
    main()
