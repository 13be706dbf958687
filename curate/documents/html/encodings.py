"""Bytes of a page to text, whatever the page claims about its encoding.

Order of belief: a byte-order mark; zero bytes in the pattern of UTF-16; valid UTF-8 (nothing else looks
like it by accident); the declared encoding; windows-1252, which every byte string can be read as.
"""

import codecs
import re

DECLARED = re.compile(rb"""<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,80}?encoding)\s*=\s*["']?\s*([a-z0-9_:.-]{2,30})""", re.I)
DECLARED_WITHIN = 2048
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
NOT_OF_PAGES = ("utf-7", "utf-16", "utf-32", "punycode", "idna", "unicode", "raw-unicode", "undefined")
"""Codecs that a declaration in ASCII cannot mean, that no browser knows, or that take quadratic time."""
BINARY = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"PK\x03\x04", b"%PDF-", b"\x1f\x8b", b"\x7fELF", b"BZh", b"\xfd7zXZ", b"RIFF",
    b"MZ", b"\xca\xfe\xba\xbe", b"OggS", b"ID3", b"Rar!", b"7z\xbc\xaf", b"wOFF", b"SQLite format 3",
)  # fmt: skip


class BadPage(Exception):
    """Bytes that are no page; `reason` is empty_page, page_too_large, not_html or too_deep."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def page_text(data: bytes, max_bytes: int) -> str:
    """A page's bytes as text; BadPage when they are empty, too many or evidently something else."""
    if not data or data.isspace():
        raise BadPage("empty_page")
    if len(data) > max_bytes:
        raise BadPage("page_too_large", f"{len(data)} bytes")
    if data.startswith(BINARY):
        raise BadPage("not_html", f"starts like a binary file: {data[:4]!r}")
    text = _decoded(data)
    if text.count("\0") > max(8, len(text) // 100) or text.count("\ufffd") > len(text) // 4:
        raise BadPage("not_html", "holds bytes that no text has")
    return text


def _decoded(data: bytes) -> str:
    for bom, name in BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(name, "replace")
    wide = _wide(data[:512])
    if wide:
        return data.decode(wide, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(data) > 64 and error.start >= len(data) - 3:  # cut off inside its last character
            return data.decode("utf-8", "ignore")
    return _as_declared(data)


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: markup has a zero in every second byte."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    most = len(head) * 0.3
    if odd > most and even < 8:
        return "utf-16-le"
    return "utf-16-be" if even > most and odd < 8 else None


def _as_declared(data: bytes) -> str:
    found = DECLARED.search(data, 0, DECLARED_WITHIN)
    name = found[1].decode("ascii").lower() if found else "windows-1252"
    if name in ("utf-8", "utf8"):  # it is not, or it would have been read above; unless only few bytes are bad
        damaged = data.decode("utf-8", "replace")
        return damaged if damaged.count("\ufffd") * 200 < len(damaged) and _mostly_utf8(data) else _western(data)
    if name in ("iso-8859-1", "latin-1", "latin1", "ascii", "us-ascii", "windows-1252", "cp1252"):
        return _western(data)  # as the WHATWG encoding standard has it
    try:
        codec = codecs.lookup(name)
        of_pages = getattr(codec, "_is_text_encoding", False) and not codec.name.startswith(NOT_OF_PAGES)
        return data.decode(name, "replace") if of_pages else _western(data)
    except (LookupError, UnicodeError, ValueError):
        return _western(data)


def _mostly_utf8(data: bytes) -> bool:
    """Whether multi-byte sequences that are right outnumber those that are broken."""
    whole = data.decode("utf-8", "ignore")
    return sum(1 for sign in whole if sign > "\x7f") > data.decode("utf-8", "replace").count("\ufffd")


def _western(data: bytes) -> str:
    return data.decode("windows-1252", "replace")
