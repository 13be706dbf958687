"""Whether a frozen benchmark is what it says: bytes, pictures, shortcuts, leaks, disjointness."""

from collections.abc import Iterator, Sequence

from curate.benches import IMAGES, Bench, Item
from curate.benchmarks.baselines import BLIND, baselines
from curate.benchmarks.decontaminating import shared
from curate.benchmarks.kinds import KINDS
from curate.benchmarks.seen import read_seen
from curate.benchmarks.settings import Decontamination
from curate.errors import InputError, IntegrityError
from curate.schema import Shot
from curate.settings import build


def check_bench(bench: Bench, against: Sequence[str] = (), margin: float = 0.01) -> list[str]:
    """What is wrong with a benchmark, a line each, [] when nothing is: pictures that are not what their refs say; answerers
    that see no query picture and score above chance by more than `margin`; queries shown among their demonstrations;
    questions that change with the shots; and, with `against` (runs or plans), what it shares with them."""
    items = bench.items
    lines = [*_pictures(bench), *_shortcuts(bench, margin), *_leaks(items), *_nesting(items)]
    if against:
        rules = bench.manifest.disjoint.get("rules", {})
        settings = build(Decontamination, rules if isinstance(rules, dict) else {}, f"{bench.name}, disjoint.rules")
        lines += _overlap(bench, against, settings)
    return lines


def _pictures(bench: Bench) -> Iterator[str]:
    refs = {image.ref for item in bench.items for shot in _shots(item) for image in shot.images}
    for ref in sorted(refs):
        try:
            bench.picture(ref)
        except (IntegrityError, InputError) as error:
            yield str(error)
    stored = {name.rpartition("/")[2] for name in (bench.folder / IMAGES).names()}
    if stored - refs:
        yield f"{len(stored - refs)} pictures in {IMAGES} are in no item"


def _shortcuts(bench: Bench, margin: float) -> Iterator[str]:
    found = baselines(bench.items, bench.manifest.metric)
    if found != bench.manifest.baselines and bench.manifest.kind in KINDS:
        yield "the baselines are not what bench.json states"
    for shots, scores in found.items():
        for name in BLIND:
            if scores.get("chance") and scores.get(name, 0.0) > scores["chance"] + margin:
                yield f"{shots} shots: {name} scores {scores[name]:.3f}, chance is {scores['chance']:.3f}"


def _leaks(items: Sequence[Item]) -> Iterator[str]:
    for item in items:
        query = item.episode.query
        mine = {image.ref for image in query.images}
        for shot in item.episode.demonstrations:
            if mine & {image.ref for image in shot.images}:
                yield f"{item.id} shows its query's picture among the demonstrations"
            elif query.document_id and shot.document_id == query.document_id:
                yield f"{item.id} shows its query's document among the demonstrations"


def _nesting(items: Sequence[Item]) -> Iterator[str]:
    """The demonstrations of few shots are among those of more, and the query is the same."""
    known: dict[str, tuple[str, set[str], int]] = {}
    for item in sorted(items, key=lambda item: item.shots):
        shown = {shot.demonstration_id for shot in item.episode.demonstrations}
        query = item.episode.query.demonstration_id
        before = known.get(item.group, (query, set(), item.shots))
        if before[0] != query or not before[1] <= shown:
            yield f"{item.id} asks or shows something else than group {item.group} at {before[2]} shots"
        known[item.group] = (query, shown, item.shots)


def _overlap(bench: Bench, against: Sequence[str], settings: Decontamination) -> Iterator[str]:
    # bench.json does not list concepts; labels are class names where the kind is choice, and made up or answers elsewhere
    labels = {shot.label for item in bench.items for shot in _shots(item)} if bench.manifest.kind == "choice" else set()
    refs = {image.ref for item in bench.items for shot in _shots(item) for image in shot.images}
    composed = refs if bench.manifest.disjoint.get("composed") == len(refs) else set()
    for what, count in shared(bench.items, labels, read_seen(against), settings, composed).items():
        if count:
            yield f"{count} {what.replace('_', ' ')} are training's too"


def _shots(item: Item) -> Iterator[Shot]:
    yield from item.episode.demonstrations
    yield item.episode.query
