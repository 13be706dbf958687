"""A folder of pictures with captions beside them: `X.png` and `X.txt`.

The caption is the first line of the text file that is not empty and not a translation (`de.utf8=...`, as Tux
Paint's stamps have them). Folders become concepts, the innermost first. Where a drawing and its pixels share a
name, they are one record; of X.jpg and X.png the first by name counts and the other is dropped. A text
without a picture and a picture without a text are rejected.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from curate.demonstrations.found import IMPORTERS, Found, ImportSettings, Item, Picture, Unusable, Unwanted
from curate.demonstrations.reading import PICTURES, VECTOR, Root, clean, decode, folder_concepts, words_of

MOST_TEXT = 4_000_000  # bytes of a caption file
TRANSLATION = re.compile(rb"^[a-z]{2,3}(_[A-Za-z]+)?(@\w+)?\.utf-?8=", re.IGNORECASE)


class CaptionSettings(ImportSettings):
    """Settings of `curate import captions`."""

    caption_from: Literal["sidecar", "name"] = "sidecar"
    """A text file beside the picture, or the picture's own name as words."""
    suffix: str = ".txt"
    """Ending of the text files."""
    encoding: str = "utf-8"
    """Encoding of the text files."""
    concepts_from: Literal["folders", "caption", "none"] = "folders"
    """The folders above the picture, or the caption without its article and full stop."""
    skip_folders: tuple[str, ...] = ()
    """Folders, as words, that name no class, such as a drawing style; the next one up counts."""
    prefer: Literal["pixels", "drawing"] = "pixels"
    """Which picture counts where X.png and X.svg both exist."""


@IMPORTERS.register("captions")
class Captions:
    """Pictures with a caption file beside each."""

    Settings: ClassVar[type[ImportSettings]] = CaptionSettings
    task: ClassVar[str] = "caption"

    def __init__(self, path: str, settings: CaptionSettings) -> None:
        self._path, self._settings = Path(path), settings

    @cached_property
    def root(self) -> Path:
        """The folder itself."""
        return self._path

    def items(self) -> Iterator[Item]:
        """One item for every stem that has a picture or a caption."""
        beside = self._settings.caption_from == "sidecar"
        stems: dict[str, dict[str, str]] = defaultdict(dict)
        twins: list[Item] = []
        for name in Root(self._path).files((*PICTURES, self._settings.suffix.lower())):
            stem, kind = self._split(name)
            if kind != "text" or beside:
                first = stems[stem].setdefault(kind, name)
                twins += [Item(name, (name,), {"twin": first})] if first != name else []
        for _, kinds in sorted(stems.items()):
            order = ("pixels", "drawing") if self._settings.prefer == "pixels" else ("drawing", "pixels")
            picture = next((kinds[kind] for kind in order if kind in kinds), "")
            text = kinds.get("text", "")
            yield Item(picture or text, tuple(name for name in (picture, text) if name), {"picture": picture, "text": text})
        yield from twins

    def _split(self, name: str) -> tuple[str, str]:
        suffix = self._settings.suffix
        if name.lower().endswith(suffix.lower()):  # cameras and old systems write capitals
            return name[: len(name) - len(suffix)], "text"
        path = PurePosixPath(name)
        return str(path.with_suffix("")), "drawing" if path.suffix.lower() in VECTOR else "pixels"

    def found(self, item: Item) -> Iterator[Found]:
        """The picture and its caption."""
        if "twin" in item.data:
            raise Unwanted("same_name", f"{item.data['twin']} counts")
        picture, text = item.data["picture"], item.data["text"]
        if not picture:
            raise Unusable("no_picture", text)
        caption = self._caption(picture, text)
        yield Found((Picture(picture),), caption, question="", concepts=self._concepts(picture, caption))

    def _caption(self, picture: str, text: str) -> str:
        if self._settings.caption_from == "name":
            return words_of(PurePosixPath(picture).stem)
        if not text:
            raise Unusable("no_caption", f"{picture} has no {self._settings.suffix} file")
        data = Root(self._path).read(text, MOST_TEXT)
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            data = decode(data, "utf-16", text).encode()
        lines = (line.strip() for line in data.removeprefix(b"\xef\xbb\xbf").splitlines())
        first = next((line for line in lines if line and not TRANSLATION.match(line)), b"")
        return clean(decode(first, self._settings.encoding, text), self._settings.max_text, "caption")

    def _concepts(self, picture: str, caption: str) -> tuple[str, ...]:
        if self._settings.concepts_from == "folders":
            return folder_concepts(picture, self._settings.skip_folders)
        if self._settings.concepts_from == "caption":
            return (bare(caption),)
        return ()


def bare(caption: str) -> str:
    """A caption as a concept: without article and full stop, lower case. 'A frog.' is 'frog'."""
    return re.sub(r"^(an?|the)\s+", "", caption.strip().rstrip(".").lower())
