"""LLaVA's instruction JSON: `[{id, image: str | list, conversations: [{from: human | gpt, value}, …]}, …]`.

Every question and the answer after it is one demonstration. Its images are those whose `<image>` stood in this
turn or an earlier one, since later turns go on asking about them; the turns before it are its context. A
placeholder at either end of a question disappears; one in its middle becomes `(image N)`, so that the
sentence still says which image it means. Records without an image are sound and dropped. Where records carry
`task`, `concepts`, `format` or `licence`, as our own export writes them, these are taken over.
"""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from curate.demonstrations.columns import digest_of, names_in
from curate.demonstrations.found import IMPORTERS, Found, ImportSettings, Item, Picture, Unusable, Unwanted
from curate.demonstrations.importers.metadata import read_jsonl
from curate.demonstrations.reading import Root, clean, numbered
from curate.errors import InputError

IMAGE = "<image>"


class LlavaSettings(ImportSettings):
    """Settings of `curate import llava`."""

    image_root: str = "."
    """Folder of the images, relative to the JSON file's; nothing outside it is read."""
    max_table: int = 8_000_000_000
    """Largest JSON file that is read, in bytes."""


@IMPORTERS.register("llava")
class Llava:
    """Conversations about images."""

    Settings: ClassVar[type[ImportSettings]] = LlavaSettings
    task: ClassVar[str] = "instruction"

    def __init__(self, path: str, settings: LlavaSettings) -> None:
        self._path, self._settings = Path(path), settings

    @cached_property
    def _file(self) -> Path:
        if not self._path.is_dir():
            return self._path
        found = sorted([*self._path.glob("*.json"), *self._path.glob("*.jsonl")])
        if len(found) != 1:
            raise InputError(f"{self._path.name} holds {len(found)} JSON files; give the path of the one you mean")
        return found[0]

    @cached_property
    def root(self) -> Path:
        """The folder of the images."""
        return self._file.parent / self._settings.image_root

    def items(self) -> Iterator[Item]:
        """One item a conversation, named by its id."""
        entries = self._entries()
        names = numbered(str(entry["id"]) if _has_id(entry) else f"#{index + 1}" for index, entry in enumerate(entries))
        for name, entry in zip(names, entries, strict=True):
            try:
                if isinstance(entry, Unusable):
                    raise entry
                files = tuple(names_in(entry["image"], "image")) if isinstance(entry, dict) and entry.get("image") else ()
                item = Item(name, files, entry, digest_of(entry))
            except Unusable as fault:
                item = Item(name, (), fault, digest_of([fault.reason, fault.detail]))
            yield item

    def _entries(self) -> list[Any]:
        name = self._file.name
        try:
            data = Root(self._file.parent).read(name, self._settings.max_table)
            entries = read_jsonl(data, name) if name.endswith(".jsonl") else json.loads(data)
        except (Unusable, ValueError, RecursionError) as error:
            raise InputError(f"{name} is not readable JSON: {str(error)[:200]}") from None
        if not isinstance(entries, list):
            raise InputError(f"{name} must hold a list of conversations, not a {type(entries).__name__}")
        return entries

    def found(self, item: Item) -> Iterator[Found]:
        """One pair for every question and answer."""
        entry = item.data
        if isinstance(entry, Unusable):
            raise entry
        if not isinstance(entry, dict):
            raise Unusable("wrong_type", f"a {type(entry).__name__}, not an object")
        if not entry.get("image"):
            raise Unwanted("no_image")
        pictures = tuple(Picture(name) for name in names_in(entry["image"], "image"))
        turns = self._turns(entry)
        ends = _images_so_far([question for question, _ in turns], len(pictures))
        before: list[str] = []
        for index, ((question, answer), end) in enumerate(zip(turns, ends, strict=True)):
            start = ends[index - 1] if index else 0
            asked = without_placeholders(question, 0 if question.count(IMAGE) == 0 else start)
            yield self._pair(entry, pictures[:end], asked, answer, "\n".join(before), index)
            before += [text for text in (asked, answer) if text]

    def _pair(
        self, entry: dict[str, Any], pictures: tuple[Picture, ...], question: str, answer: str, before: str, turn: int
    ) -> Found:
        own = {key: clean(entry.get(key) or "", 200, key) for key in ("task", "format", "licence")}
        concepts = entry.get("concepts") or ()
        if not isinstance(concepts, list | tuple):
            raise Unusable("wrong_type", "concepts")
        context = before or clean(entry.get("context") or "", self._settings.max_text, "context")
        return Found(
            pictures,
            answer,
            question,
            own["task"],
            tuple(clean(concept, self._settings.max_text, "concepts") for concept in concepts),
            own["format"],
            context,
            own["licence"],
            turn,
        )

    def _turns(self, entry: dict[str, Any]) -> list[tuple[str, str]]:
        said = entry.get("conversations")
        if not isinstance(said, list) or not all(isinstance(turn, dict) for turn in said):
            raise Unusable("wrong_type", "conversations")
        speakers = [str(turn.get("from")) for turn in said]
        if not said or len(said) % 2 or speakers != ["human", "gpt"] * (len(said) // 2):
            raise Unusable("bad_conversation", f"speakers {', '.join(speakers[:6])}"[:200])
        most = self._settings.max_text
        texts = [clean(turn.get("value"), most, speaker) for turn, speaker in zip(said, speakers, strict=True)]
        return list(zip(texts[::2], texts[1::2], strict=True))


def _has_id(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("id"), str | int) and str(entry["id"]) != ""


def _images_so_far(questions: list[str], images: int) -> list[int]:
    """How many images have been shown once each question is asked; without placeholders all come first."""
    counts = [question.count(IMAGE) for question in questions]
    if sum(counts) == 0:
        return [images] * len(questions)
    if sum(counts) != images:
        raise Unusable("placeholder_mismatch", f"{sum(counts)} placeholders, {images} images")
    if counts[0] == 0:
        raise Unwanted("question_before_image")
    return [sum(counts[: index + 1]) for index in range(len(counts))]


def without_placeholders(question: str, start: int) -> str:
    """A question without `<image>`: gone at its ends, `(image N)` in its middle, N counted from `start` + 1."""
    parts = question.split(IMAGE)
    first = next((index for index, part in enumerate(parts) if part.strip()), None)
    if first is None:
        return ""
    last = max(index for index, part in enumerate(parts) if part.strip())
    text = parts[first]
    for index in range(first + 1, last + 1):
        text += f"(image {start + index}){parts[index]}"
    return re.sub(r" *\n *", "\n", text).strip()
