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


_DATA = read_yaml(Path(__file__).with_name("furniture.yaml"))
_ORDER = (Mark.NOTICE, Mark.CERTAIN, Mark.LIKELY, Mark.HIDDEN, Mark.FIGURE, Mark.CAPTION)  # the first that fits counts
_WHOLE = {mark: re.compile(rf"(?:{'|'.join(_DATA[mark.name.lower()])})\Z") for mark in _ORDER}
_INSIDE = {Mark[mark.upper()]: re.compile(rf"(?:^|-)(?:{words})(?:-|\Z)") for mark, words in _DATA["inside"].items()}
_ABOUT = re.compile(rf"(?:{_DATA['about']})[-_]")
_ROLES = {role: Mark[mark.upper()] for mark, roles in _DATA["roles"].items() for role in roles}
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
LONGEST_NAMES = 1000  # characters of a class or id that are looked at, and remembered


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


def mark_of(attributes: Attributes) -> tuple[Mark, bool]:
    """What an element's class, role, style and id say it is, and whether only its id says so."""
    mark = Mark.NONE
    names = attributes.get("class")
    if names:
        mark = mark_of_names(names[:LONGEST_NAMES])
        if len(attributes) == 1:
            return mark, False
    if role := attributes.get("role"):
        mark = max(mark, _ROLES.get(role.strip().lower(), Mark.NONE))
    hidden = "hidden" in attributes and attributes["hidden"] != "until-found"
    if hidden or attributes.get("aria-hidden") == "true" or _HIDING.search(attributes.get("style") or ""):
        return Mark.HIDDEN, False
    if (name := attributes.get("id")) and (by_id := mark_of_names(name[:LONGEST_NAMES])) >= Mark.CERTAIN and by_id > mark:
        return by_id, True
    return mark, False


PROSE = 300  # characters outside links that make a suspect content
NOTICE_PROSE = 3000
SHARE_OF_LINKS = 0.4
_INSIDE_SUSPECTS = "a,img,main,article,h1,h2,h3,h4,h5,h6"
_CONTENT = frozenset(("main", "article", "h1"))
_HEADINGS = frozenset(("h2", "h3", "h4", "h5", "h6"))


class Judge:
    """Decides about the suspects of one page. `body` is its lexbor node."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._total = -1

    def is_furniture(self, node: Any, mark: Mark, by_id: bool) -> bool:
        """Whether an element that names suspect is to be left aside; `mark` is LIKELY or worse."""
        if node.tag in ("body", "html"):
            return False
        text = _size(node)
        if mark == Mark.HIDDEN:
            return text <= self._all_text() // 2
        if node.tag in _CONTENT:
            return False
        inside = node.css(_INSIDE_SUSPECTS)
        tags = {found.tag for found in inside}
        if text > 40 and tags & _CONTENT:
            return False
        linked = sum(_size(found) for found in inside if found.tag == "a")
        if mark == Mark.NOTICE:
            return text - linked <= NOTICE_PROSE
        if linked and linked >= SHARE_OF_LINKS * text:
            return True
        if mark == Mark.LIKELY:
            return text == 0 and "img" not in tags
        if by_id and tags & _HEADINGS:  # generators make ids of headings: a section called "Navigation" is content
            return False
        return text - linked <= PROSE and not any(_is_picture(found) for found in inside if found.tag == "img")

    def _all_text(self) -> int:
        if self._total < 0:
            self._total = _size(self._body)
        return self._total


def text_sizes(node: Any) -> tuple[int, int]:
    """Characters of an element's text without white space, and those of them inside links."""
    return _size(node), sum(_size(link) for link in node.css("a"))


def _size(node: Any) -> int:
    return len("".join(node.text().split()))


def _is_picture(img: Any) -> bool:
    """Whether an img of a suspect is more than an icon: stated to be large, or not small and no link's face."""
    side = declared_side(img.attributes)
    return side > 100 or (not 0 < side <= SMALL_ICON and img.parent is not None and img.parent.tag != "a")


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
