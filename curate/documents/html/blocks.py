"""One walk over a page's tree that leaves its text blocks and pictures in reading order.

Inline elements join, block elements split, and a picture stands where the page has it. A paragraph that a
picture interrupts keeps one number, so that its halves are joined again when the picture does not stay.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from curate.documents.html.chrome import Judge, Mark, is_icon_link, is_pixel, mark_of, text_sizes
from curate.documents.html.pictures import Attributes, candidates
from curate.documents.html.tables import data_table

DEEPEST = 150  # elements nested deeper are read as plain text; Python's own stack is not unlimited
PERMALINKS = ("¶", "#", "§", "🔗", "[edit]")  # all that a heading's link to itself says
BREAK = "\0"  # a <br>; no text node holds it, the parser replaces it
FORM_PROSE = 200
HIDDEN_SIGNS = "\u00ad\u200b\u200c\u2060\ufeff"  # soft hyphen, zero-width marks
_NO_HIDDEN_SIGNS = dict.fromkeys(map(ord, HIDDEN_SIGNS))


@dataclass(slots=True)
class TextBlock:
    """A paragraph, heading, list item, cell or table."""

    text: str
    paragraph: int  # pieces of one paragraph share it
    group: int = 0  # items of one list share it, 0 for none


@dataclass(slots=True)
class ImageBlock:
    """A picture with every address it is offered under, best first."""

    hrefs: tuple[str, ...]
    alt: str
    caption: str = ""
    waits: bool = False  # its address is a placeholder that a <noscript> may replace


Block = TextBlock | ImageBlock


def _ids(tags: str) -> list[int]:
    parser = LexborHTMLParser("")
    return [parser.create_node(tag).tag_id for tag in tags.split()]


_TEXT = LexborHTMLParser("<p>x").css_first("p").first_child.tag_id


class Walker:
    """The state of one walk. `boilerplate` keeps what would be skipped as furniture."""

    def __init__(self, body: Any, boilerplate: bool) -> None:
        self.blocks: list[Block] = []
        self._keep_all = boilerplate
        self._judge = Judge(body)
        self._pieces: list[str] = []
        self._paragraph = 1
        self._depth = self._group = self._content = 0
        self._lists: list[int | None] = []  # the next item's number in every list around here, None in unordered ones
        self._prefix = ""
        self._link: Any = None
        self._captions: list[list[str]] = []

    def walk(self, node: Any) -> None:
        """Reads the children of an element."""
        self._depth += 1
        if self._depth > DEEPEST:
            self._flat(node)
        else:
            pieces, child = self._pieces, node.child
            while child is not None:
                tag = child.tag_id
                if tag == _TEXT:
                    text = child.text_content
                    if pieces or not text.isspace():  # white space before the first word says nothing
                        pieces.append(text)
                elif (handle := _HANDLERS.get(tag)) is not None:
                    handle(self, child)
                else:
                    self._inline(child)
                child = child.next
        self._depth -= 1

    def finish(self) -> list[Block]:
        """The blocks of a whole walk."""
        self._end()
        return self.blocks

    def _end(self) -> None:
        """Closes the current block."""
        if self._pieces:
            self._flush()
        self._paragraph += 1

    def _flush(self) -> None:
        raw = "".join(self._pieces)
        self._pieces.clear()
        if BREAK in raw:
            self._flush_lines(raw)
            return
        words = raw.split()
        if words:
            self._text(" ".join(words))

    def _flush_lines(self, raw: str) -> None:
        lines = [" ".join(line.split()) for line in raw.split(BREAK)]
        for number, part in enumerate(re.split(r"\n{2,}", "\n".join(lines))):
            if number:
                self._paragraph += 1
            if part := part.strip("\n"):
                self._text(part)

    def _text(self, text: str) -> None:
        if not text.isascii() and any(sign in text for sign in HIDDEN_SIGNS):
            text = text.translate(_NO_HIDDEN_SIGNS)
            if not text:
                return
        if self._prefix:
            text, self._prefix = self._prefix + text, ""
        self.blocks.append(TextBlock(text, self._paragraph, self._group))

    def _flat(self, node: Any) -> None:
        self._pieces.append(f" {node.text()} ")
        for img in node.css("img"):
            self._image(img)

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

    def _picture(self, node: Any) -> None:
        img = node.css_first("img")
        if img is not None:
            self._image(img, [source.attributes for source in node.css("source")])

    def _image(self, node: Any, sources: "list[Attributes] | None" = None) -> None:
        img: Attributes = node.attributes
        if self._is_furniture(node, img):
            return
        hrefs = candidates(img, sources or [])
        alt = _said(img.get("alt")) or _said(img.get("title"))
        if self._pieces:
            self._flush()
        waits = not hrefs or any(name.startswith("data-") for name in img) or hrefs[0].startswith("data:")
        if hrefs or waits:
            self.blocks.append(ImageBlock(hrefs, alt, waits=waits))

    def _is_furniture(self, node: Any, img: Attributes) -> bool:
        if is_pixel(img):
            return True
        if self._keep_all:
            return False
        icon = self._link is not None and is_icon_link(img, self._link.attributes)
        return icon or mark_of(img)[0] == Mark.HIDDEN

    def _noscript(self, node: Any) -> None:
        """The fallback of a lazily loaded picture: its address joins the placeholder's, or it stands for itself."""
        for img in node.css("img"):
            last = self.blocks[-1] if self.blocks and not self._pieces else None
            if isinstance(last, ImageBlock) and last.waits and not is_pixel(img.attributes):
                real = candidates(img.attributes)
                last.hrefs = tuple(dict.fromkeys(real + tuple(h for h in last.hrefs if not h.startswith("data:"))))
                last.alt = last.alt or _said(img.attributes.get("alt"))
                last.waits = False
            else:
                self._image(img)

    def _figure(self, node: Any) -> None:
        """Reads a figure; its captions go to its pictures, or stay text when it has none."""
        self._end()
        start = len(self.blocks)
        self._captions.append([])
        self._depth += 1
        if self._depth > DEEPEST:
            self._flat(node)
        else:
            child = node.child
            while child is not None:
                self._figure_child(child)
                child = child.next
        self._depth -= 1
        self._end()
        caption = _joined(self._captions.pop())
        pictures = [block for block in self.blocks[start:] if isinstance(block, ImageBlock)]
        for picture in pictures:
            picture.caption = _joined([caption, picture.caption])
        if caption and not pictures:
            self._text(caption)
            self._paragraph += 1

    def _figure_child(self, child: Any) -> None:
        """In figures that classes make (DocBook, MediaWiki), a child called `title` is the caption."""
        is_title = child.tag_id != _TEXT and "title" in ((child.attributes or {}).get("class") or "").split()
        if is_title:
            self._caption(child)
        elif child.tag_id == _TEXT:
            self._pieces.append(child.text_content)
        else:
            _HANDLERS.get(child.tag_id, Walker._inline)(self, child)

    def _caption(self, node: Any) -> None:
        """Text for the pictures of the figure around it, or else for the picture right before it."""
        self._end()
        blocks, self.blocks = self.blocks, []
        prefix, self._prefix = self._prefix, ""
        self.walk(node)
        self._end()
        found, self.blocks, self._prefix = self.blocks, blocks, prefix
        text = " ".join(block.text for block in found if isinstance(block, TextBlock)).replace("\n", " ")
        pictures = [block for block in found if isinstance(block, ImageBlock)]
        if pictures:  # it holds its pictures: a figure that is called a caption
            for picture in pictures:
                picture.caption = _joined([text, picture.caption])
            self.blocks += pictures
            return
        last = self.blocks[-1] if self.blocks else None
        if self._captions:
            self._captions[-1].append(text)
        elif isinstance(last, ImageBlock) and not last.caption:
            last.caption = text
        elif text:
            self._text(text)
            self._paragraph += 1

    def _figcaption(self, node: Any) -> None:
        if self._captions:
            self._caption(node)
        else:
            self._block(node)


_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|webp|bmp|svg|tiff?)", re.I)


def _said(alt: str | None) -> str:
    """An alternative text, unless it is only the file's name, which generators put where the author wrote none."""
    text = " ".join((alt or "").split())
    return "" if _FILE_NAME.fullmatch(text) else text


def _start(of_list: Any) -> int | None:
    """The number of the first item of an ordered list, None for other lists."""
    if of_list.tag != "ol":
        return None
    start = (of_list.attributes.get("start") or "1").strip()
    return int(start) if re.fullmatch(r"-?\d{1,6}", start) else 1


def _joined(captions: list[str]) -> str:
    """Captions of nested figures as one: the outer one, then the inner."""
    whole = ""
    for caption in dict.fromkeys(filter(None, captions)):
        glue = " " if whole.endswith((".", ":", "!", "?")) else ": "
        whole = f"{whole}{glue}{caption}" if whole else caption
    return whole


def joined(blocks: list[Block]) -> list[Block]:
    """Blocks with the halves of each paragraph joined by a space, and neighbouring items of a list by a line break."""
    whole: list[Block] = []
    parts: list[str] = []
    last: TextBlock | None = None
    for block in blocks:
        if type(block) is TextBlock:
            if last is not None and (glue := _glue(last, block)):
                parts += (glue, block.text)
                last = block
                continue
            _close(whole, parts, last)
            last, parts = block, [block.text]
        else:
            _close(whole, parts, last)
            last, parts = None, []
            whole.append(block)
    _close(whole, parts, last)
    return whole


def _glue(last: TextBlock, block: TextBlock) -> str:
    if block.paragraph == last.paragraph:
        return " "
    return "\n" if block.group and block.group == last.group else ""


def _close(whole: list[Block], parts: list[str], last: TextBlock | None) -> None:
    if last is not None:
        whole.append(last if len(parts) == 1 else TextBlock("".join(parts), last.paragraph, last.group))


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
