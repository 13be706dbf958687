"""Addresses in a page to names inside its place; or the reason why there is none."""

import base64
import binascii
import posixpath
import re
from urllib.parse import unquote, unquote_to_bytes

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_SPACES = re.compile(r"[\t\r\n]")


class NoReference(Exception):
    """An address that leads to no file of the place: remote, outside_source, unsupported_scheme, bad_data_uri, too_large."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def names_of(href: str, page: str, base: str) -> list[str]:
    """Names that an address may mean, likeliest first, for a page called `page` with a `<base href>`.

    An address with a leading slash starts at the place's root, where a saved site has its own. A query is
    dropped, unless a file carries it in its name as some savers write it. Raises NoReference.
    """
    href = _SPACES.sub("", href).strip().replace("\\", "/")
    if base:
        base = _SPACES.sub("", base).strip().replace("\\", "/")
        _local_only(base)
    _local_only(href)
    path, _, query = href.partition("#")[0].partition("?")
    start = posixpath.dirname(page)
    if base:
        start = _joined(start, posixpath.dirname(unquote(base.partition("#")[0].partition("?")[0]) + "x"))
    whole = _joined(start, unquote(path))
    names = [whole] + ([f"{whole}?{unquote(query)}"] if query else [])
    if "%" in path:
        names.append(_joined(start, path))  # some savers keep the escapes in the file's name
    return [name for name in dict.fromkeys(names) if name]


def _local_only(href: str) -> None:
    if href.startswith("//"):
        raise NoReference("remote")
    scheme = _SCHEME.match(href)
    if scheme and len(scheme[1]) > 1:
        remote = scheme[1].lower() in ("http", "https", "ftp")
        raise NoReference("remote" if remote else "unsupported_scheme")
    if scheme:
        raise NoReference("outside_source")  # a drive letter


def _joined(start: str, path: str) -> str:
    """`path` from the folder `start`, as a clean name; NoReference when it climbs out of the root."""
    if "\0" in path:
        raise NoReference("outside_source")
    path = path.lstrip("/") if path.startswith("/") else posixpath.join(start, path)
    clean = posixpath.normpath(path) if path else ""
    if clean == ".." or clean.startswith("../"):
        raise NoReference("outside_source")
    return "" if clean == "." else clean


def data_uri(href: str, most: int) -> bytes:
    """The bytes of a `data:` address, base64 or percent-encoded; NoReference when it is too long or broken."""
    if len(href) > most * 3:
        raise NoReference("too_large")
    head, comma, body = href[5:].partition(",")
    if not comma:
        raise NoReference("bad_data_uri")
    if head.lower().replace(" ", "").endswith(";base64"):
        packed = re.sub(rb"\s", b"", unquote_to_bytes(body)).translate(bytes.maketrans(b"-_", b"+/"))
        try:
            data = base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise NoReference("bad_data_uri") from None
    else:
        data = unquote_to_bytes(body)
    if len(data) > most:
        raise NoReference("too_large")
    return data


def short(href: str) -> str:
    """An address fit for a record: `data:` addresses lose their body, absurdly long ones their end."""
    if href[:5].lower() == "data:":
        return href.partition(",")[0][:100] + ",…"
    return href if len(href) <= 2048 else href[:2047] + "…"
