"""Pictures of a page, and the captions that belong to them."""

import re
from abc import abstractmethod
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from curate.documents.html.blocks import ImageBlock, TextBlock
from curate.documents.html.chrome import Mark, is_icon_link, is_pixel, mark_of
from curate.documents.html.flow import Flow
from curate.documents.html.pictures import Attributes, candidates

DEEPEST = 150  # elements nested deeper are read as plain text; Python's own stack is not unlimited
TEXT = LexborHTMLParser("<p>x").css_first("p").first_child.tag_id


class Figures(Flow):
    """What a walk does with pictures, figures and captions."""

    @abstractmethod
    def walk(self, node: Any) -> None:
        """Reads the children of an element."""

    @abstractmethod
    def _read(self, node: Any) -> None:
        """Reads one element."""

    @abstractmethod
    def _block(self, node: Any) -> None:
        """Reads an element that splits text."""

    def _flat(self, node: Any) -> None:
        self._pieces.append(f" {node.text()} ")
        for img in node.css("img"):
            self._image(img)

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
        is_title = child.tag_id != TEXT and "title" in ((child.attributes or {}).get("class") or "").split()
        if is_title:
            self._caption(child)
        elif child.tag_id == TEXT:
            self._pieces.append(child.text_content)
        else:
            self._read(child)

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


def _joined(captions: list[str]) -> str:
    """Captions of nested figures as one: the outer one, then the inner."""
    whole = ""
    for caption in dict.fromkeys(filter(None, captions)):
        glue = " " if whole.endswith((".", ":", "!", "?")) else ": "
        whole = f"{whole}{glue}{caption}" if whole else caption
    return whole
