"""Telling a page's content from its furniture: menus, banners, cookie notices, hidden parts, icon links.

Names of classes, ids and roles raise a suspicion; what the element holds decides. A suspect that holds the
page's main element, its first heading or much prose is content that somebody named badly, and stays:
losing a paragraph is worse than keeping a menu.
"""

import re
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from curate.documents.html.pictures import Attributes, declared_side
from curate.settings import read_yaml


class Mark(IntEnum):
    """What an element's names say about it."""

    NONE = 0
    FIGURE = 1  # a container whose captions belong to its pictures
    CAPTION = 2
    LIKELY = 3  # furniture where links make up much of it
    CERTAIN = 4  # furniture unless it holds a page's worth of prose
    NOTICE = 5  # cookie and consent notices: furniture however long they talk
    HIDDEN = 6  # not shown; content only when it is most of the page


SKIPPED = Mark.HIDDEN
MARKED = (
    "[class]:not(span):not(a):not(code):not(em):not(strong):not(b):not(i),[id]:not(a):not(span):not(h1):not(h2):not(h3):not(h4),"
    'a[class*="headerlink"],a[class*="skip"],span[class*="caption"],span[class*="editsection"],span[class*="sr-only"],'
    '[role],[hidden],[aria-hidden="true"],[style*="display"],[style*="visibility"]'
)

_DATA = read_yaml(Path(__file__).with_name("furniture.yaml"))
_ORDER = (Mark.NOTICE, Mark.CERTAIN, Mark.LIKELY, Mark.HIDDEN, Mark.FIGURE, Mark.CAPTION)  # the first that fits counts
_WHOLE = {mark: re.compile(rf"(?:{'|'.join(_DATA[mark.name.lower()])})\Z") for mark in _ORDER}
_INSIDE = {Mark[mark.upper()]: re.compile(rf"(?:^|-)(?:{words})(?:-|\Z)") for mark, words in _DATA["inside"].items()}
_ABOUT = re.compile(rf"(?:{_DATA['about']})[-_]")
_ROLES = {role: Mark[mark.upper()] for mark, roles in _DATA["roles"].items() for role in roles}
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=20_000)
def mark_of_names(names: str) -> Mark:
    """The strongest mark among the words of a `class` or `id` attribute."""
    return max(
        (_mark_of_word(_CAMEL.sub("-", word).lower().replace("_", "-")) for word in names.split()[:30]), default=Mark.NONE
    )


def _mark_of_word(word: str) -> Mark:
    if _ABOUT.match(word):
        return Mark.NONE
    for mark, pattern in _WHOLE.items():
        if pattern.match(word):
            return mark
    return next((mark for mark, pattern in _INSIDE.items() if pattern.search(word)), Mark.NONE)


def mark_of(attributes: Attributes) -> Mark:
    """What an element's class, id, role and style say it is."""
    mark = Mark.NONE
    names = attributes.get("class")
    if names:
        mark = mark_of_names(names)
    if name := attributes.get("id"):
        mark = max(mark, _furniture_only(mark_of_names(name)))
    if names and len(attributes) == 1:
        return mark
    if role := attributes.get("role"):
        mark = max(mark, _ROLES.get(role.strip().lower(), Mark.NONE))
    hidden = "hidden" in attributes and attributes["hidden"] != "until-found"
    if hidden or attributes.get("aria-hidden") == "true" or _HIDING.search(attributes.get("style") or ""):
        return Mark.HIDDEN
    return mark


def _furniture_only(mark: Mark) -> Mark:
    return mark if mark >= Mark.CERTAIN else Mark.NONE


PROSE = 300  # characters outside links that make a suspect content
NOTICE_PROSE = 3000
SHARE_OF_LINKS = 0.4


class Judge:
    """Decides about the suspects of one page. `body` is its lexbor node."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._total = -1

    def marks(self) -> dict[int, Mark]:
        """mem_id -> Mark of every element worth a look: FIGURE, CAPTION, or HIDDEN for all that is to be skipped."""
        found: dict[int, Mark] = {}
        for node in self._body.css(MARKED):
            mark = mark_of(node.attributes)
            if mark in (Mark.FIGURE, Mark.CAPTION):
                found[node.mem_id] = mark
            elif mark and self._is_furniture(node, mark):
                found[node.mem_id] = SKIPPED
        return found

    def _is_furniture(self, node: Any, mark: Mark) -> bool:
        if node.tag in ("body", "main", "article", "html", "h1") and mark != Mark.HIDDEN:
            return False
        text, linked = text_sizes(node)
        if mark == Mark.HIDDEN:
            return node.tag != "body" and text <= self._all_text() // 2
        if text > 40 and node.css_first("main,article,h1") is not None:
            return False
        prose = text - linked
        if mark == Mark.NOTICE:
            return prose <= NOTICE_PROSE
        if linked and linked >= SHARE_OF_LINKS * text:
            return True
        if mark == Mark.LIKELY:
            return text == 0 and node.css_first("img") is None
        return prose <= PROSE and not _has_pictures(node)

    def _all_text(self) -> int:
        if self._total < 0:
            self._total = text_sizes(self._body)[0]
        return self._total


def text_sizes(node: Any) -> tuple[int, int]:
    """Characters of an element's text without white space, and those of them inside links."""
    return _size(node), sum(_size(link) for link in node.css("a"))


def _size(node: Any) -> int:
    return sum(map(len, node.text().split()))


def _has_pictures(node: Any) -> bool:
    """Whether pictures stand here that are more than icons of links."""
    return any(declared_side(img.attributes) > 100 for img in node.css("img"))


_ICONS = {kind: frozenset(words) for kind, words in _DATA["icons"].items()}
_NOT_LETTERS = re.compile(r"[^a-z]")
SMALL_ICON = 48


def is_icon_link(img: Attributes, link: Attributes) -> bool:
    """Whether a picture inside a link is a button of the site (previous, home, share) and not content."""
    if 0 < declared_side(img) <= SMALL_ICON:
        return True
    if _ICONS["rels"] & set((link.get("rel") or "").lower().split()):
        return True
    names = (img.get("alt") or "", img.get("title") or "", _stem(img.get("src") or ""))
    says = [_NOT_LETTERS.sub("", name.lower()) for name in names]
    if says[0] in _ICONS["words"] or says[2] in _ICONS["words"]:
        return True
    return (link.get("accesskey") or "").lower() in _ICONS["keys"] and bool(link.get("accesskey")) and len(says[0]) <= 8


def _stem(src: str) -> str:
    return src.partition("?")[0].rpartition("/")[2].partition(".")[0][:40]


def is_pixel(img: Attributes) -> bool:
    """A tracking pixel or spacer, by its own statement."""
    return 0 < declared_side(img) <= 2
