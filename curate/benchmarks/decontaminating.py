"""What training has seen, held against what a benchmark would show.

Twice: demonstrations are compared before a benchmark is made of them (`faults`), and the finished items once more from
their own records (`proof`), so that the second would find what the first let through.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.benches import Item
from curate.benchmarks.material import concept_key
from curate.benchmarks.seen import Seen, hash_bits
from curate.benchmarks.settings import Decontamination
from curate.encoders.vectors import Vectors
from curate.engine import MANIFEST
from curate.errors import InputError
from curate.layout import Run
from curate.schema import Demonstration, Image

BLOCK = 1 << 24
"""Pairs of hashes or of vectors compared at once: 128 MB."""
NEAR = 12
"""Perceptual-hash bits up to which the proof counts how near pictures come."""


def faults(run: Run, demonstrations: Sequence[Demonstration], seen: Seen, settings: Decontamination) -> list[str]:
    """For every demonstration the first rule it breaks: picture, perceptual_hash, cosine, document, concept; "" for none."""
    distance = nearest_bits([image for d in demonstrations for image in d.images], seen)
    alike = _alike_by_vector(run, seen, settings)
    return [_fault(d, seen, settings, distance, alike) for d in demonstrations]


def _fault(
    demonstration: Demonstration, seen: Seen, settings: Decontamination, distance: dict[str, int], alike: set[str]
) -> str:
    bits, concepts = settings.perceptual_bits, demonstration.concepts[:1]
    known = seen.broader if settings.concepts == "broader" else seen.concepts if settings.concepts else frozenset()
    rules = {
        "picture": any(image.ref in seen.refs for image in demonstration.images),
        "perceptual_hash": bits is not None and any(distance[image.phash] <= bits for image in demonstration.images),
        "cosine": demonstration.id in alike,
        "document": settings.documents and demonstration.document_id in seen.documents,
        "concept": any(concept_key(name) in known for name in concepts),
    }
    return next((f"{rule}_in_training" for rule, broken in rules.items() if broken), "")


def nearest_bits(images: Iterable[Image], seen: Seen) -> dict[str, int]:
    """For every perceptual hash of `images` the fewest bits to a training picture's; 64 without one."""
    texts = sorted({image.phash for image in images})
    ours = np.array([hash_bits(text) for text in texts], dtype=np.uint64)
    found = np.full(len(ours), 64, dtype=np.int64)
    step = max(1, BLOCK // max(1, len(seen.hashes)))
    for start in range(0, len(ours) if len(seen.hashes) else 0, step):
        some = ours[start : start + step, None] ^ seen.hashes[None, :]
        found[start : start + step] = np.bitwise_count(some).min(axis=1)
    return dict(zip(texts, found.tolist(), strict=True))


def _alike_by_vector(run: Run, seen: Seen, settings: Decontamination) -> set[str]:
    """Ids of demonstrations whose picture's vector is nearer to a training picture's than the settings allow."""
    if settings.cosine is None:
        return set()
    if not run.embeddings.exists(MANIFEST):
        raise InputError(f"{run.root.uri} has no embeddings, which decontaminate.cosine wants; run curate embed first")
    ours = Vectors.read(run.embeddings, "image")
    if any(other.fingerprint != ours.fingerprint for other in seen.vectors):
        raise InputError(f"{run.root.uri} is embedded by another encoder than training, so their cosines say nothing")
    near = np.zeros(len(ours), dtype=bool)
    for theirs in seen.vectors:
        near |= _near(np.asarray(ours.matrix, dtype=np.float32), theirs, settings.cosine)
    return {name for name, there, close in zip(ours.ids, ours.present, near, strict=True) if there and close}


def _near(ours: npt.NDArray[np.float32], theirs: Vectors, cosine: float) -> npt.NDArray[np.bool_]:
    near = np.zeros(len(ours), dtype=bool)
    for block in theirs.blocks(4096):
        other = np.asarray(block, dtype=np.float32).T
        for start in range(0, len(ours), 4096):
            near[start : start + 4096] |= (ours[start : start + 4096] @ other > cosine).any(axis=1)
    return near


def shared(
    items: Sequence[Item], concepts: Iterable[str], seen: Seen, settings: Decontamination, composed: Container[str] = ()
) -> dict[str, int]:
    """How many pictures, documents and concepts of items are training's too, by the rules that are on. All zero is what a
    decontaminated benchmark has. `concepts` are those of its demonstrations. `composed` are refs of pictures that were made of
    clean cut-outs: hashes of scattered things are alike by chance, so those are compared by their bytes alone."""
    images = {image.ref: image for image in _images(items)}
    near = nearest_bits(images.values(), seen)
    found = {"pictures": len(seen.refs & images.keys())}
    if settings.perceptual_bits is not None:
        hashed = [image.phash for ref, image in images.items() if ref not in composed]
        found["near_pictures"] = sum(near[phash] <= settings.perceptual_bits for phash in hashed)
    if settings.documents:
        found["documents"] = len(seen.documents & {shot.document_id for item in items for shot in _shots(item)})
    if settings.concepts:
        known = seen.broader if settings.concepts == "broader" else seen.concepts
        found["concepts"] = len(known & {concept_key(name) for name in concepts})
    return found


def proof(
    items: Sequence[Item], concepts: Iterable[str], seen: Seen, settings: Decontamination, composed: Container[str] = ()
) -> dict[str, Any]:
    """What stands in bench.json: training's places, what the finished items share with them, and how many of their pictures
    come within how many perceptual-hash bits of the nearest training picture."""
    names = sorted(set(concepts))
    images = {image.ref: image for image in _images(items)}
    near = nearest_bits(images.values(), seen)
    bits = Counter(near[image.phash] for image in images.values())
    return {
        "against": seen.places,
        "rules": settings.model_dump(mode="json", exclude={"against"}),
        "pictures": len(images),
        "composed": sum(ref in composed for ref in images),
        "concepts": len(names),
        "shared": shared(items, names, seen, settings, composed),
        "nearest_bits": {str(at): bits[at] for at in range(NEAR + 1) if bits[at]},
        "smallest_distance": min(bits, default=64),
    }


def _shots(item: Item) -> Iterator[Any]:
    yield from item.episode.demonstrations
    yield item.episode.query


def _images(items: Iterable[Item]) -> Iterator[Image]:
    return (image for item in items for shot in _shots(item) for image in shot.images)
