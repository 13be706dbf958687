"""`llava`: conversations in LLaVA's JSON, `[{id, image, conversations: [{from: human | gpt, value}, …]}, …]`.

A conversation in which every question brings a picture of its own is one ICL sample: its last turn is the query and the
earlier ones are its demonstrations, as ICL tuning was evaluated. One whose pictures all come first asks about them over and
over: each turn is a question of its own without demonstrations, as for single-image skill. A question that lists its options
as `A. …`, `B. …` and is answered by such a letter is a multiple choice.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from curate.benches import METRICS, Item, Metric
from curate.benchmarks.importing import BENCH_IMPORTERS
from curate.benchmarks.importing.desk import Desk, Entry
from curate.benchmarks.importing.reading import fields, named, names_of, read_json, rows_of
from curate.benchmarks.importing.settings import FileSettings
from curate.demonstrations.found import Unusable
from curate.demonstrations.importers.llava import IMAGE, without_placeholders
from curate.demonstrations.reading import clean
from curate.episodes.templates import LETTERS
from curate.errors import InputError

BY_LINE = re.compile(r"^\s*\(?([A-Z])[.):]\s*(\S.*?)\s*$", re.MULTILINE)
INLINE = re.compile(r"(?:^|[\s,;])\(?([A-Z])[.):]\s*(\S[^\n]*?)(?=[\s,;]+\(?[A-Z][.):]|\s*(?:\n|$))")
LETTER = re.compile(r"^\(?([A-Z])[.):]?$")


class LlavaBenchSettings(FileSettings):
    """Settings of `curate bench import llava`. Conversations say themselves how many shots there are."""

    shots: list[int] = Field(default=[])
    """Numbers of shots to keep; all when empty."""
    images: str = "."
    """Folder of the pictures, relative to the JSON file's."""
    classes: int = Field(1, ge=1)
    """How many classes the demonstrations are of; shots are counted per class."""
    scoring: Literal["auto", "choice", "exact", "soft", "vqa", "caption"] = "auto"
    """auto: choice where every query is a multiple choice, else exact; where no query asks anything, caption."""


class LlavaBench:
    """Conversations as questions behind demonstrations."""

    settings = LlavaBenchSettings
    title = "Conversations about pictures"

    def root(self, path: Path, settings: LlavaBenchSettings) -> Path:
        """The folder of the pictures."""
        return _file(path).parent / settings.images

    def metric(self, settings: LlavaBenchSettings, items: list[Item]) -> Metric:
        """As the settings say, or by what the queries are."""
        if settings.scoring != "auto":
            return next(metric for metric in METRICS if metric == settings.scoring)
        if all(item.choices for item in items):
            return "choice"
        return "caption" if all(not item.episode.query.question for item in items) else "exact"

    def items(self, path: Path, settings: LlavaBenchSettings, desk: Desk) -> Iterator[Item]:
        """The items of every conversation."""
        file = _file(path)
        rows = list(named(rows_of(read_json(file.parent, file.name, settings.max_table), file.name), "id"))
        if 0 < settings.queries < len(rows):
            kept = {name for name, _ in desk.drawn(rows, "queries", "")[: settings.queries]}
            rows = [(name, row) for name, row in rows if name in kept]
        for name, row in rows:
            with desk.record(name):
                yield from _items(name, fields(row), settings, desk)


def _file(path: Path) -> Path:
    found = [path] if not path.is_dir() else sorted([*path.glob("*.json"), *path.glob("*.jsonl")])
    if len(found) != 1:
        raise InputError(f"{path.name} holds {len(found)} JSON files; give the path of the one you mean")
    return found[0]


def _items(name: str, row: dict[str, Any], settings: LlavaBenchSettings, desk: Desk) -> Iterator[Item]:
    pictures = names_of(row.get("image"))
    turns = _turns(row, settings.max_text)
    counts = [question.count(IMAGE) for question, _ in turns]
    if sum(counts) == 0:
        counts[0] = len(pictures)
    if sum(counts) != len(pictures):
        raise Unusable("placeholder_mismatch", f"{sum(counts)} placeholders, {len(pictures)} images")
    if all(counts):
        yield from _in_context(name, turns, counts, pictures, settings, desk)
    elif counts[0] and not any(counts[1:]):
        yield from _one_by_one(name, turns, pictures, settings, desk)
    else:
        raise Unusable("mixed_turns", "some turns bring pictures and some do not")


def _in_context(
    name: str,
    turns: Sequence[tuple[str, str]],
    counts: list[int],
    pictures: list[str],
    settings: LlavaBenchSettings,
    desk: Desk,
) -> Iterator[Item]:
    ends = [sum(counts[: at + 1]) for at in range(len(counts))]
    entries = [
        _entry(desk, f"{name}/{at}" if at + 1 < len(turns) else name, pictures[end - count : end], *turn)
        for at, (turn, count, end) in enumerate(zip(turns, counts, ends, strict=True))
    ]
    shots, rest = divmod(len(entries) - 1, settings.classes)
    if rest:
        raise Unusable("uneven_classes", f"{len(entries) - 1} demonstrations of {settings.classes} classes")
    if not settings.shots or shots in settings.shots:
        desk.encode(entries)
        query = entries[-1]
        yield desk.item(query, entries[:-1], shots, choices=_choices(query), classes=bool(query.options), task="instruction")


def _one_by_one(
    name: str, turns: Sequence[tuple[str, str]], pictures: list[str], settings: LlavaBenchSettings, desk: Desk
) -> Iterator[Item]:
    if settings.shots and 0 not in settings.shots:
        return
    for at, turn in enumerate(turns):
        query = _entry(desk, f"{name}/{at}" if len(turns) > 1 else name, pictures, *turn)
        yield desk.item(query, [], 0, choices=_choices(query), task="instruction")


def _turns(row: dict[str, Any], most: int) -> list[tuple[str, str]]:
    said = row.get("conversations")
    if not isinstance(said, list) or not said or not all(isinstance(turn, dict) for turn in said):
        raise Unusable("wrong_type", "conversations")
    speakers = [str(turn.get("from"))[:20] for turn in said]
    if speakers != ["human", "gpt"] * (len(said) // 2):
        raise Unusable("bad_conversation", f"speakers {', '.join(speakers[:6])}")
    texts = [clean(turn.get("value"), most, speaker) for turn, speaker in zip(said, speakers, strict=True)]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _entry(desk: Desk, record: str, pictures: list[str], question: str, answer: str) -> Entry:
    asked = without_placeholders(question, 0)
    options, letter = options_of(asked), LETTER.match(answer)
    if letter and len(options) > LETTERS.index(letter.group(1)):
        right = LETTERS.index(letter.group(1))
        return desk.entry(record, pictures, asked, [letter.group(1)], options[right], options)
    return desk.entry(record, pictures, asked, [answer])


def options_of(question: str) -> tuple[str, ...]:
    """Texts of the options that a question lists as A, B, ... in this order, a line each or in one line; () for none."""
    for pattern in (BY_LINE, INLINE):
        found = pattern.findall(question)
        if len(found) > 1 and "".join(letter for letter, _ in found) == LETTERS[: len(found)]:
            return tuple(text.strip(" ,;") for _, text in found)
    return ()


def _choices(query: Entry) -> tuple[str, ...]:
    return tuple(LETTERS[: len(query.options)])


BENCH_IMPORTERS.register("llava")(LlavaBench())
