"""What an `img` offers: every address it could be shown from, the largest usable first.

Pages name one picture many times: `src`, `srcset` with widths or densities, `picture` sources of other
types, and the attributes that lazy-loading scripts use while `src` holds a placeholder.
"""

import re
from collections.abc import Mapping, Sequence

LAZY = (
    "data-src", "data-original", "data-lazy-src", "data-lazy", "data-actualsrc", "data-original-src", "data-hi-res-src",
    "data-full-src", "data-img-src", "data-image-src",
)  # fmt: skip
LAZY_SETS = ("data-srcset", "data-lazy-srcset", "data-original-set")
UNDECODABLE = ("image/svg", "image/avif", "image/heic", "image/heif", "image/jxl", "image/jp2", "video/")
"""Types that no worker decodes: such a source is passed over for the next."""
PLACEHOLDER = re.compile(r"(?:^|[/_.-])(?:blank|spacer|placeholder|loading|loader|pixel|transparent|1x1|lazy)[\w.-]*$", re.I)
_MORE = frozenset((*LAZY, *LAZY_SETS, "srcset"))
MOST = 24
X_TO_W = 800  # where densities and widths stand in one list, a density counts as this many pixels

Attributes = Mapping[str, str | None]


def candidates(img: Attributes, sources: Sequence[Attributes] = ()) -> tuple[str, ...]:
    """Addresses of an `img` with the `source` elements of its `picture`, best first; () when it has none."""
    if not sources and _MORE.isdisjoint(img):  # the plain case, most of the web
        return _plain(img.get("src"))
    sets = [s.get("srcset") or s.get("data-srcset") for s in sources if not _undecodable(s)]
    sets += [img.get(name) for name in (*LAZY_SETS, "srcset")]
    best = sorted([c for text in sets if text for c in srcset(text)], key=lambda found: -found[1])
    lazy = [value.strip() for name in LAZY if (value := img.get(name))]
    found = dict.fromkeys([url for url, _ in best] + lazy)
    src = (img.get("src") or "").strip()
    if src and not (found and _is_placeholder(src)):
        found[src] = None
    return tuple(url for url in found if url)[:MOST]


def _plain(src: str | None) -> tuple[str, ...]:
    src = (src or "").strip()
    return (src,) if src else ()


def _undecodable(source: Attributes) -> bool:
    return (source.get("type") or "").strip().lower().startswith(UNDECODABLE)


def _is_placeholder(src: str) -> bool:
    return src.startswith("data:") or bool(PLACEHOLDER.search(src.partition("?")[0]))


def srcset(text: str) -> list[tuple[str, float]]:
    """(address, size) of a `srcset`: size is the width of a `w` descriptor or a density times X_TO_W.

    An address runs to the next white space, so that commas inside it (data: URIs, CDN options) are its own.
    Only the first candidates are read: each costs a copy of the rest, and megabytes of them would take hours.
    """
    found: list[tuple[str, float]] = []
    rest = text
    while len(found) < 2 * MOST and (rest := rest.lstrip(" \t\r\n\f,")):
        url, _, rest = _first_word(rest)
        if url.endswith(","):
            found.append((url.rstrip(","), float(X_TO_W)))
            continue
        descriptor, _, rest = rest.partition(",")
        found.append((url, _size(descriptor)))
    return found


def _first_word(text: str) -> tuple[str, str, str]:
    parts = text.split(None, 1)
    return parts[0], " ", parts[1] if len(parts) > 1 else ""


def _size(descriptor: str) -> float:
    for word in descriptor.lower().split():
        try:
            number = float(word[:-1])
        except ValueError:
            continue
        if number == number and 0 < number < 1e6:
            return number * (1.0 if word.endswith("w") else X_TO_W if word.endswith("x") else 0.0) or X_TO_W
    return float(X_TO_W)


def declared_side(img: Attributes) -> int:
    """The larger of the stated width and height in pixels, 0 when one is not stated."""
    sides = []
    for name in ("width", "height"):
        digits = re.match(r"\s*(\d{1,5})\s*(?:px)?\s*$", img.get(name) or "")
        if not digits:
            return 0
        sides.append(int(digits[1]))
    return max(sides)
