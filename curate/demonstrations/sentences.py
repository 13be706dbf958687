"""A document's text as candidates for its images: sentences, headings, and the words around a place."""

import re
from dataclasses import dataclass
from itertools import islice, pairwise

from curate.schema import Document

# A sentence ends at a mark followed by space and something that can begin one; CJK marks need no space.
_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s+[\"'“‘(\[¿¡]?[^\W_a-z])|[。！？][」』”）]*")
_NUMBERING = re.compile(r"^(?:(?:\d+|[A-Z])(?:\.\d+)*\.?|chapter\s+\S+|appendix\s+\S+)\s+(?=\S)", re.IGNORECASE)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

_BULLET = re.compile(r"^\s*[-*•–]\s+")

HEADING_WORDS = 10


@dataclass(frozen=True)
class Sentence:
    """A sentence and the place of its node in the document."""

    text: str
    node: int


def word_count(text: str) -> int:
    """Words between spaces; scripts without spaces count two characters a word."""
    return len(text.split()) + len(_CJK.findall(text)) // 2


def sentences_of(document: Document, fewest: int, most: int) -> list[Sentence]:
    """Sentences of `fewest` to `most` words in reading order, each text once."""
    found: dict[str, Sentence] = {}
    for index, node in enumerate(document.nodes):
        if node.kind != "text":
            continue
        for line in node.text.splitlines():
            for text in split(_BULLET.sub("", line)):
                if fewest <= word_count(text) <= most:
                    found.setdefault(text, Sentence(text, index))
    return list(found.values())


def split(line: str) -> list[str]:
    """The sentences of one line."""
    ends = [0, *(found.end() for found in _END.finditer(line)), len(line)]
    return [text for start, end in pairwise(ends) if (text := line[start:end].strip())]


def heading_before(document: Document, place: int) -> str:
    """The nearest line before node `place` that looks like a heading: few words, no mark at its end."""
    for node in reversed(document.nodes[:place]):
        if node.kind == "text":
            for line in reversed(node.text.splitlines()):
                if is_heading(line):
                    return line.strip()
    return ""


def is_heading(line: str) -> bool:
    """Whether a line looks like a heading rather than prose or a list item."""
    line = line.strip()
    begins = bool(line) and (line[0].isupper() or line[0].isdigit() or bool(_CJK.match(line)))
    return begins and line[-1] not in ".!?:;,…。！？" and word_count(line) <= HEADING_WORDS


def concept(text: str) -> str:
    """A heading or title as a concept: without its number."""
    text = " ".join(text.split())
    return _NUMBERING.sub("", text).strip(" .")


def context_around(document: Document, place: int, words: int, without: str = "") -> str:
    """Up to `words` words before node `place` and as many after it, the text `without` taken out."""
    # No further than needed: a page may have thousands of images and millions of words.
    back = (word for node in reversed(document.nodes[:place]) if node.kind == "text" for word in reversed(node.text.split()))
    on = (word for node in document.nodes[place + 1 :] if node.kind == "text" for word in node.text.split())
    parts = (" ".join(reversed(list(islice(back, words)))), " ".join(islice(on, words)))
    answer = " ".join(without.split())
    kept = (" ".join(part.replace(answer, " ").split()) if answer else part for part in parts)
    return "\n".join(part for part in kept if part)
