"""The text of a walk as it comes: pieces become blocks, blocks count paragraphs."""

import re
from typing import Any

from curate.documents.html.blocks import Block, TextBlock
from curate.documents.html.chrome import Judge

BREAK = "\0"  # a <br>; no text node holds it, the parser replaces it
HIDDEN_SIGNS = "\u00ad\u200b\u200c\u2060\ufeff"  # soft hyphen, zero-width marks
_NO_HIDDEN_SIGNS = dict.fromkeys(map(ord, HIDDEN_SIGNS))


class Flow:
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
