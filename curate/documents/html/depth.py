"""Pages nested so deeply that parsing them would take minutes are refused before they are parsed.

A parser's work on a tower of open elements grows with the square of its height: 30,000 nested `div` take a second
or two, 300,000 (1.8 MB of page) six minutes. People nest a few dozen deep, and browsers flatten beyond some hundreds.
"""

import re

from curate.documents.html.encodings import BadPage

MAX_DEPTH = 50_000
"""Elements inside one another."""

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_NO_END = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
_END_WHERE_THE_NEXT_BEGINS = {"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup"}
_NO_NESTING = _NO_END | _END_WHERE_THE_NEXT_BEGINS


def check_depth(text: str) -> None:
    """BadPage `too_deep` when more than MAX_DEPTH elements are open at once."""
    if text.count("<") <= MAX_DEPTH:
        return
    depth = 0
    for closes, name in _TAG.findall(text):
        if name.lower() in _NO_NESTING:
            continue
        depth = max(depth - 1, 0) if closes else depth + 1
        if depth > MAX_DEPTH:
            raise BadPage("too_deep", f"more than {MAX_DEPTH:,} elements inside one another")
