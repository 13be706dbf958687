"""What is embedded: the records of a run, cut into parts that name their rows and do not hold them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from curate.engine import Partition, SourcePart, StageManifest, partitions_of
from curate.layout import Run
from curate.schema import Demonstration, Document, from_table
from curate.storage import Folder, hash_json

What = Literal["demonstrations", "documents", "images"]
TextOf = Literal["both", "question", "answer"]
Source = SourcePart | tuple[str, ...]
"""A part of an earlier stage, or names of stored images."""

IMAGES = 256
"""Stored images in a part."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record to embed: the refs of its images and its text, either of which may be empty."""

    id: str
    refs: tuple[str, ...]
    text: str


def partitions(run: Run, what: What, encoder: str) -> list[Partition[Source]]:
    """One partition for each part of the stages that hold the records, sources in order of their names; stored
    images by 256 in order of their hashes. `encoder` is the fingerprint of what reads them."""
    if what == "images":
        names = _image_names(run)
        some = (tuple(names[start : start + IMAGES]) for start in range(0, len(names), IMAGES))
        return [Partition(hash_json([encoder, chunk]), chunk) for chunk in some]
    parts = (part for folder in run.required(what) for part in partitions_of(folder))
    return [Partition(hash_json([encoder, what, part.fingerprint]), part.payload) for part in parts]


def rows_in(source: Source, what: What, text: TextOf) -> list[Row]:
    """The rows of one partition, in stored order."""
    if isinstance(source, tuple):
        return [Row(name, (name,), "") for name in source]
    if what == "demonstrations":
        return [_row_of_demonstration(one, text) for one in from_table(source.table(), Demonstration)]
    return [row for document in from_table(source.table(), Document) for row in _rows_of_document(document)]


def count_of(run: Run, what: What) -> int:
    """How many rows there are; of documents, their nodes."""
    if what == "images":
        return len(_image_names(run))
    if what == "demonstrations":
        return sum(manifest.counts["out"] for _, manifest in _manifests(run, what))
    return sum(len(document.nodes) for document in run.documents())


def inputs_of(run: Run, what: What) -> dict[str, str]:
    """Content hashes of the stages that the rows come from."""
    if what == "images":
        return {"images": hash_json(_image_names(run))}
    return {folder.uri.rpartition("/")[2]: manifest.digest for folder, manifest in _manifests(run, what)}


def _manifests(run: Run, what: What) -> Iterator[tuple[Folder, StageManifest]]:
    return ((folder, StageManifest.load(folder)) for folder in run.required(what))


def _image_names(run: Run) -> list[str]:
    return sorted(name.rpartition("/")[2] for name in run.images.folder.names())


def _row_of_demonstration(one: Demonstration, text: TextOf) -> Row:
    chosen = {"question": one.question, "answer": one.answer, "both": f"{one.question} {one.answer}"}
    return Row(one.id, tuple(image.ref for image in one.images), chosen[text].strip())


def _rows_of_document(document: Document) -> Iterator[Row]:
    """One row a node, called DOCUMENT#INDEX."""
    for index, node in enumerate(document.nodes):
        yield Row(f"{document.id}#{index}", (node.image.ref,) if node.image else (), node.text if not node.image else "")
