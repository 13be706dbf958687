"""A page's bytes to its title, base address and blocks."""

from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser

from curate.documents.html.blocks import Block, Walker, joined
from curate.documents.html.encodings import page_text

MAX_PAGE_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Page:
    """What one page holds, in reading order. Text that a picture splits is not joined yet, see `joined`."""

    title: str
    base: str  # the href of its <base>, "" when it has none
    language: str  # what its lang attribute states, "" when it has none
    blocks: list[Block]
    pictures: int  # img elements in the page, furniture included


def read_page(data: bytes, boilerplate: bool = False, max_bytes: int = MAX_PAGE_BYTES) -> Page:
    """Blocks of a page; `boilerplate` keeps navigation, footers and the like. BadPage when it is none."""
    tree = LexborHTMLParser(page_text(data, max_bytes))
    tree.strip_tags(["script", "style", "template"], recursive=True)
    body = tree.body
    title, base, root = tree.css_first("title"), tree.css_first("base[href]"), tree.root
    words = " ".join(title.text().split()) if title is not None else ""
    stated = (root.attributes.get("lang") or root.attributes.get("xml:lang") or "") if root is not None else ""
    if body is None:
        return Page(words, "", "", [], 0)
    walker = Walker(body, boilerplate)
    walker.walk(body)
    href = (base.attributes.get("href") or "").strip() if base is not None else ""
    return Page(words, href, stated.strip().lower()[:2], walker.finish(), len(tree.css("img")))


def read_text(data: bytes) -> str:
    """A page's text blocks as one string; what the benchmark sets beside other extractors."""
    return "\n\n".join(block.text for block in joined(read_page(data).blocks) if hasattr(block, "text"))
