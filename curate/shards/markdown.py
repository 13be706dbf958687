"""Markdown in which no text from a document can do anything but be read."""

import html
import re
from collections.abc import Iterable, Sequence

LONGEST = 120
_PUNCTUATION = re.compile(r"([\\`*_\[\]#|~$:@^]|(?<=www)\.)")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")


def escape(text: object) -> str:
    """Text as itself in Markdown: no markup, no HTML, no link, no new line, and no longer than a line.

    Punctuation becomes character references rather than backslash escapes, which also keeps renderers
    from turning bare addresses into links.
    """
    line = " ".join(_INVISIBLE.sub(" ", str(text)).split())
    if len(line) > LONGEST:
        line = line[: LONGEST - 1] + "…"
    return _PUNCTUATION.sub(lambda found: f"&#{ord(found[1])};", html.escape(line).replace("&", "\0")).replace("\0", "&")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers stand to the right with thousands separated."""
    body = [[_cell(cell) for cell in row] for row in rows]
    rule = [" --- " if index == 0 else " ---: " for index in range(len(head))]
    lines = [_line(list(head)), "|" + "|".join(rule) + "|", *[_line(row) for row in body]]
    return "\n".join(lines) + "\n"


def _cell(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else escape(cell)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
