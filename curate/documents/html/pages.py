"""A page's bytes to its title, base address and blocks."""

from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser

from curate.documents.html.blocks import Block
from curate.documents.html.depth import check_depth
from curate.documents.html.encodings import page_text
from curate.documents.html.walker import Walker

SILENT = (b"<script", b"<style", b"<template")
"""Elements whose text nobody reads; gone before anything is measured."""
MAX_PAGE_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Page:
    """What one page holds, in reading order. Text that a picture splits is not joined yet, see `joined`."""

    title: str
    base: str  # the href of its <base>, "" when it has none
    language: str  # what its lang attribute states, "" when it has none
    blocks: list[Block]
    pictures: int  # img elements in the page, furniture included; 0 when nobody asked


def read_page(data: bytes, boilerplate: bool = False, max_bytes: int = MAX_PAGE_BYTES, count_pictures: bool = False) -> Page:
    """Blocks of a page; `boilerplate` keeps navigation, footers and the like. BadPage when it is none."""
    text = page_text(data, max_bytes)
    check_depth(text)
    tree = LexborHTMLParser(text)
    lower = data.lower()
    if b"\0" in data or any(silent in lower for silent in SILENT):
        tree.strip_tags([silent[1:].decode() for silent in SILENT], recursive=True)
    body, head, root = tree.body, tree.head, tree.root
    title = head.css_first("title") if head is not None else None
    base = head.css_first("base[href]") if head is not None else None
    words = " ".join(title.text().split()) if title is not None else ""
    stated = (root.attributes.get("lang") or root.attributes.get("xml:lang") or "") if root is not None else ""
    if body is None:
        return Page(words, "", "", [], 0)
    pictures = len(tree.css("img")) if count_pictures else 0
    walker = Walker(body, boilerplate)
    walker.walk(body)
    href = (base.attributes.get("href") or "").strip() if base is not None else ""
    return Page(words, href, stated.strip().lower()[:2], walker.finish(), pictures)
