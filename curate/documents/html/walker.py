"""One walk over a page's tree that leaves its text blocks and pictures in reading order.

Inline elements join, block elements split, and a picture stands where the page has it. A paragraph that a
picture interrupts keeps one number, so that its halves are joined again when the picture does not stay.
"""

import re
from collections.abc import Callable
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from curate.documents.html.chrome import Mark, mark_of, text_sizes
from curate.documents.html.figures import DEEPEST, TEXT, Figures
from curate.documents.html.flow import BREAK
from curate.documents.html.pictures import Attributes
from curate.documents.html.tables import data_table

PERMALINKS = ("¶", "#", "§", "🔗", "[edit]")  # all that a heading's link to itself says
FORM_PROSE = 200


def _ids(tags: str) -> list[int]:
    parser = LexborHTMLParser("")
    return [parser.create_node(tag).tag_id for tag in tags.split()]


class Walker(Figures):
    """A walk: what every element does to the text around it."""

    def walk(self, node: Any) -> None:
        """Reads the children of an element."""
        self._depth += 1
        if self._depth > DEEPEST:
            self._flat(node)
        else:
            pieces, child = self._pieces, node.child
            while child is not None:
                tag = child.tag_id
                if tag == TEXT:
                    text = child.text_content
                    if pieces or not text.isspace():  # white space before the first word says nothing
                        pieces.append(text)
                elif (handle := _HANDLERS.get(tag)) is not None:
                    handle(self, child)
                else:
                    self._inline(child)
                child = child.next
        self._depth -= 1

    def _read(self, node: Any) -> None:
        _HANDLERS.get(node.tag_id, Walker._inline)(self, node)

    def _inline(self, node: Any) -> None:
        attributes = node.attributes
        if attributes:
            self._named(node, attributes)
        else:
            self.walk(node)

    def _block(self, node: Any) -> None:
        if self._pieces:
            self._flush()
        self._paragraph += 1
        attributes = node.attributes
        if attributes:
            self._named(node, attributes)
        else:
            self.walk(node)
        if self._pieces:
            self._flush()
        self._paragraph += 1

    def _named(self, node: Any, attributes: Attributes) -> None:
        """Reads an element as its class, id, role and style ask for."""
        mark, by_id = mark_of(attributes)
        if mark == Mark.NONE:
            self.walk(node)
        elif mark == Mark.FIGURE:
            self._figure(node)
        elif mark == Mark.CAPTION:
            self._caption(node)
        elif self._keep_all or not self._judge.is_furniture(node, mark, by_id):
            self.walk(node)

    def _heading(self, node: Any) -> None:
        """A heading is content whatever its id says; generators make ids of titles."""
        self._end()
        self.walk(node)
        self._end()

    def _skip(self, node: Any) -> None:
        pass

    def _chrome(self, node: Any) -> None:
        """nav, dialog, menus: furniture by their very tag."""
        if self._keep_all:
            self._block(node)

    def _main(self, node: Any) -> None:
        self._content += 1
        self._block(node)
        self._content -= 1

    def _header(self, node: Any) -> None:
        """A site's header goes, all but the page's first heading; an article's own header stays."""
        if self._content or self._keep_all or text_sizes(node)[0] - text_sizes(node)[1] > 2 * FORM_PROSE:
            self._block(node)
            return
        for heading in node.css("h1"):
            self._block(heading)

    def _footer(self, node: Any) -> None:
        if self._content or self._keep_all:
            self._block(node)

    def _aside(self, node: Any) -> None:
        text, linked = text_sizes(node)
        if self._keep_all or linked < 0.4 * text or not text:
            self._block(node)

    def _form(self, node: Any) -> None:
        """Forms go unless a whole page was wrapped in one."""
        text, linked = text_sizes(node)
        if self._keep_all or text - linked > FORM_PROSE or node.css_first("p,h1,h2,article,main") is not None:
            self._block(node)

    def _anchor(self, node: Any) -> None:
        before, self._link, start = self._link, node, len(self._pieces)
        self.walk(node)
        self._link = before
        if len(self._pieces) == start + 1 and not self._keep_all:
            text = self._pieces[start].strip()
            if text in PERMALINKS or text.lower().startswith("skip to "):
                self._pieces.pop()

    def _break(self, node: Any) -> None:
        self._pieces.append(BREAK)

    def _rule(self, node: Any) -> None:
        self._end()

    def _list(self, node: Any) -> None:
        if not self._lists:
            self._end()
            self._group = self._paragraph
        self._lists.append(_start(node))
        self._block(node)
        self._lists.pop()
        if not self._lists:
            self._group, self._prefix = 0, ""

    def _item(self, node: Any) -> None:
        self._end()
        self._prefix = "- "
        if self._lists and (number := self._lists[-1]) is not None:
            self._prefix = f"{number}. "
            self._lists[-1] = number + 1
        self._block(node)
        self._prefix = ""

    def _preformatted(self, node: Any) -> None:
        if node.css_first("img") is not None:
            self._block(node)
            return
        self._end()
        lines = [line.rstrip() for line in node.text().splitlines()]
        if text := "\n".join(lines).strip("\n"):
            self._text(text.replace(BREAK, ""))
        self._paragraph += 1

    def _table(self, node: Any) -> None:
        attributes = node.attributes
        text = data_table(node) if not attributes or mark_of(attributes)[0] <= Mark.CAPTION else None
        if text is None:
            self._block(node)
            return
        self._end()
        if text:
            self._text(text)
        self._paragraph += 1


def _start(of_list: Any) -> int | None:
    """The number of the first item of an ordered list, None for other lists."""
    if of_list.tag != "ol":
        return None
    start = (of_list.attributes.get("start") or "1").strip()
    return int(start) if re.fullmatch(r"-?\d{1,6}", start) else 1


_HANDLERS: dict[int, Callable[[Walker, Any], None]] = {}


def _register(tags: str, handler: Callable[[Walker, Any], None]) -> None:
    _HANDLERS.update(dict.fromkeys(_ids(tags), handler))


_register(
    "address article blockquote body center col colgroup dd details dir div dl dt fieldset hgroup html"
    " legend main optgroup p search section summary tbody td tfoot th thead tr xmp listing plaintext",
    Walker._block,
)
_register("h1 h2 h3 h4 h5 h6", Walker._heading)
_register("main article section", Walker._main)
_register("nav dialog", Walker._chrome)
_register("header", Walker._header)
_register("footer", Walker._footer)
_register("aside", Walker._aside)
_register("form", Walker._form)
_register("a", Walker._anchor)
_register("br", Walker._break)
_register("hr", Walker._rule)
_register("ul ol menu dir", Walker._list)
_register("li", Walker._item)
_register("pre", Walker._preformatted)
_register("table", Walker._table)
_register("caption", Walker._block)
_register("picture", Walker._picture)
_register("img", Walker._image)
_register("noscript", Walker._noscript)
_register("figure", Walker._figure)
_register("figcaption", Walker._figcaption)
_register(
    "script style template iframe object embed canvas audio video svg map select input button textarea datalist option head"
    " title meta link base param source track area frame frameset noframes noembed applet rp progress meter output",
    Walker._skip,
)
_HANDLERS[LexborHTMLParser("<p><!--x-->").css_first("p").child.tag_id] = Walker._skip
