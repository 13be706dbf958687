"""The second stage of mining: filters over nodes, over the corpus and over documents.

What they leave is the source's Documents.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from curate.documents.filters import DocumentFilter, ReuseFilter, TextFilter
from curate.documents.filters.base import full_text, made
from curate.documents.filters.language import language_of
from curate.engine import PartWriter, SourcePart, lineage_of
from curate.schema import Document, LeftOut, Node, from_table, to_table
from curate.settings import Settings
from curate.storage import canonical_json


class RefineSettings(Settings):
    """What shapes the outcome of refining: a part of MineSettings."""

    filters: dict[str, dict[str, object]]
    detect_language: bool


@dataclass(frozen=True)
class Extracted:
    """One partition: a part of the extracted Documents, and in how many documents of the source its common pictures stand."""

    part: SourcePart
    uses: Mapping[str, int]


class Refine:
    """Takes out nodes, then whole documents, each with its reason."""

    name, version = "mine", "1"

    def __init__(self, settings: RefineSettings) -> None:
        self.settings: RefineSettings = settings

    def setup(self) -> None:
        """Makes the filters."""
        chosen = self.settings.filters
        self._texts, self._documents = made(TextFilter, chosen), made(DocumentFilter, chosen)
        self._reuse = made(ReuseFilter, chosen)

    def process(self, payload: Extracted, part: PartWriter) -> None:
        """Extracted Documents to the Documents that stay."""
        _pass_on_rejected(payload.part, part)
        lineage, removed, kept = lineage_of(self), list[dict[str, str]](), list[Document]()
        for document in from_table(payload.part.table(), Document):
            part.saw()
            document = self._with_language(document)
            document = self._without_bad_nodes(document, payload.uses, part, removed)
            if self._stays(document, part):
                steps = (*document.provenance.lineage, lineage)
                kept.append(dataclasses.replace(document, provenance=dataclasses.replace(document.provenance, lineage=steps)))
        if removed:
            part.file("nodes.jsonl", b"".join(canonical_json(row) + b"\n" for row in removed))
        part.table(to_table(kept, Document))

    def _with_language(self, document: Document) -> Document:
        if not self.settings.detect_language:
            return document
        return dataclasses.replace(document, language=language_of(full_text(document))[0] or document.language)

    def _without_bad_nodes(
        self, document: Document, uses: Mapping[str, int], part: PartWriter, removed: list[dict[str, str]]
    ) -> Document:
        nodes, left_out = list[Node](), list(document.left_out)
        for node in document.nodes:
            reason, detail = self._verdict(node, document.language, uses)
            if not reason:
                nodes.append(node)
                continue
            part.tally(f"{node.kind} nodes dropped", reason)
            removed.append({"document": document.id, "node": node.href or node.text[:80], "reason": reason, "detail": detail})
            if node.kind == "image":
                left_out.append(LeftOut(node.href, f"{reason}: {detail}"))
        part.tally("nodes", "kept", len(nodes))
        return dataclasses.replace(document, nodes=tuple(nodes), left_out=tuple(left_out))

    def _verdict(self, node: Node, language: str, uses: Mapping[str, int]) -> tuple[str, str]:
        if node.image is not None:
            verdicts = ((rule.name, rule.judge(uses.get(node.image.ref, 1))) for rule in self._reuse)
        else:
            verdicts = ((rule.name, rule.judge(node.text, language)) for rule in self._texts)
        return next(((name, drop.detail) for name, drop in verdicts if drop is not None), ("", ""))

    def _stays(self, document: Document, part: PartWriter) -> bool:
        record = f"{document.provenance.source}/{document.provenance.record}"
        if not document.nodes:
            part.drop(record, "no_content")
            return False
        for rule in self._documents:
            if (drop := rule.judge(document)) is not None:
                part.drop(record, rule.name, drop.detail)
                return False
        return True


def _pass_on_rejected(source: SourcePart, part: PartWriter) -> None:
    """Pages that could not be read stand in the Documents' manifest too, so that its counts add up to all pages."""
    name = f"rejected/{source.name.partition('.')[0]}.jsonl"
    if not source.folder.exists(name):
        return
    for line in source.folder.read(name).splitlines():
        row = json.loads(line)
        part.saw()
        part.reject(row["record"], row["reason"], row["detail"])
