"""Emoji pictures named by code point, such as `1F42C.svg` or `0023-fe0f-20e3.png`: the concept is what they depict.

The name is the Unicode character's, so that one concept is called alike in every drawing style; groups and
subgroups come from `openmoji.json` or `emoji.json` where one lies in the folder. Each drawing style is a set of
its own, so that styles can be crossed in episodes: give it a name, and pick its files with `include`.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from curate.demonstrations.found import IMPORTERS, Found, ImportSettings, Item, Picture, Unusable, Unwanted
from curate.demonstrations.reading import PICTURES, Root, words_of
from curate.errors import InputError
from curate.storage import hash_json

NAMES = ("openmoji.json", "emoji.json")
MOST_JSON = 64_000_000
SKIN_TONES = range(0x1F3FB, 0x1F400)
VARIATION = 0xFE0F
CODE_POINTS = re.compile(r"^(?:emoji_)?u?([0-9a-f]{1,6}(?:[-_][0-9a-f]{1,6})*)$", re.IGNORECASE)


class EmojiSettings(ImportSettings):
    """Settings of `curate import emoji`."""

    names: Literal["unicode", "table"] = "unicode"
    """Whose names: the Unicode standard's, or those of the set's own table. The other one fills gaps."""
    concept: Literal["name", "head"] = "name"
    """What an emoji is one of: its full name, which is one picture a style, or the noun at the name's head, which many
    share: a `smiling face with halo` is a face."""
    skin_tones: bool = False
    """Also the variants of a person in five skin tones, which show one concept."""
    sequences: bool = False
    """Also flags, keycaps, families and other sequences of several characters, where their name is known."""


@dataclass(frozen=True)
class Meaning:
    """What an emoji depicts."""

    name: str
    group: str = ""
    subgroup: str = ""


@IMPORTERS.register("emoji")
class Emoji:
    """Pictures of emoji in one drawing style."""

    Settings: ClassVar[type[ImportSettings]] = EmojiSettings
    task: ClassVar[str] = "category"

    def __init__(self, path: str, settings: EmojiSettings) -> None:
        self._path, self._settings = Path(path), settings

    @cached_property
    def root(self) -> Path:
        """The folder itself."""
        return self._path

    @cached_property
    def _meanings(self) -> dict[tuple[int, ...], Meaning]:
        root = Root(self._path)
        tables = [name for name in root.files(NAMES) if PurePosixPath(name).name in NAMES]
        meanings: dict[tuple[int, ...], Meaning] = {}
        for table in tables:
            meanings.update(_meanings_in(root, table))
        return meanings

    def items(self) -> Iterator[Item]:
        """One item a picture; what its table says of it is part of its digest."""
        for name in Root(self._path).files(PICTURES):
            meaning = self._meanings.get(_key(code_points(PurePosixPath(name).stem)))
            known = (meaning.name, meaning.group, meaning.subgroup) if meaning else None
            yield Item(name, (name,), known, hash_json(known))

    def found(self, item: Item) -> Iterator[Found]:
        """The picture, a question and the emoji's name."""
        points = code_points(PurePosixPath(item.record).stem)
        if not points:
            raise Unusable("no_code_point", "the file's name is no code point")
        meaning = Meaning(*item.data) if item.data else None
        self._check_wanted(points)
        listed, standard = meaning.name if meaning else "", _unicode_name(points)
        name = (listed or standard) if self._settings.names == "table" else (standard or listed)
        if not name:
            raise Unwanted("no_name", "-".join(f"{point:04X}" for point in points))
        above = (meaning.subgroup, meaning.group) if meaning else ()
        own = head(name) if self._settings.concept == "head" else name
        yield Found((Picture(item.record),), name, concepts=(own, *(concept for concept in above if concept)))

    def _check_wanted(self, points: tuple[int, ...]) -> None:
        if not self._settings.skin_tones and any(point in SKIN_TONES for point in points):
            raise Unwanted("skin_tone")
        if not self._settings.sequences and len(_key(points)) > 1:
            raise Unwanted("sequence")


def head(name: str) -> str:
    """The noun at the head of an emoji's English name: the last word, or the one before a preposition."""
    words = re.split(r"\s+(?:with|of|on|in|over|behind|from|and)\s+", name.replace("-", " "), maxsplit=1)[0].split()
    return words[-1] if words else name


def code_points(stem: str) -> tuple[int, ...]:
    """The characters that a file's stem spells, () when it spells none: `1f468-200d-1f33e` are three."""
    found = CODE_POINTS.match(stem)
    points = tuple(int(part, 16) for part in re.split("[-_]", found.group(1))) if found else ()
    return points if all(point <= 0x10FFFF and not 0xD800 <= point < 0xE000 for point in points) else ()


def _key(points: tuple[int, ...]) -> tuple[int, ...]:
    """Sets differ in whether they write the variation selector; it means nothing here."""
    return tuple(point for point in points if point != VARIATION)


def _unicode_name(points: tuple[int, ...]) -> str:
    names = [unicodedata.name(chr(point), "") for point in _key(points)]
    return names[0].lower() if len(names) == 1 else ""


def _meanings_in(root: Root, table: str) -> Iterator[tuple[tuple[int, ...], Meaning]]:
    """Both tables in use: OpenMoji's (hexcode, annotation, group, subgroups), emoji-data's (unified, name, ...)."""
    try:
        rows = json.loads(root.read(table, MOST_JSON))
    except (Unusable, ValueError, RecursionError) as error:
        raise InputError(f"{table} is not a readable table of emoji: {str(error)[:100]}") from None
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict):
            yield from _meaning_of(row)


def _meaning_of(row: dict[str, Any]) -> Iterator[tuple[tuple[int, ...], Meaning]]:
    points = code_points(str(row.get("hexcode") or row.get("unified") or ""))
    name = row.get("annotation") or row.get("name")
    if points and isinstance(name, str) and name.strip():
        group, subgroup = row.get("group") or row.get("category"), row.get("subgroups") or row.get("subcategory")
        yield _key(points), Meaning(name.strip().lower(), _group(group), _group(subgroup))


def _group(name: object) -> str:
    """`smileys-emotion` and `Smileys & Emotion` are one group."""
    return words_of(str(name or "").lower().replace("&", " "))
