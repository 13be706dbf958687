"""What training has seen: the pictures, documents, concepts and made-up words of its runs and plans."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.benchmarks.material import concept_key
from curate.encoders.vectors import Vectors
from curate.engine import MANIFEST, StageManifest, read_stage
from curate.errors import InputError, IntegrityError
from curate.layout import Run
from curate.schema import Demonstration, Episode, from_json
from curate.shards.plans import PLAN, Plan
from curate.storage import Folder

PSEUDO = "classification"
"""Format of the episodes whose labels may be made-up words."""
CAPTION = "caption"
LABEL = 60
"""Characters of the longest label that is taken for a concept where nothing names one."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Everything of training that a benchmark must not hold."""

    places: list[dict[str, Any]] = field(default_factory=list)  # name, digest and counts of each run or plan
    refs: frozenset[str] = frozenset()
    hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))  # distinct, ascending
    documents: frozenset[str] = frozenset()
    concepts: frozenset[str] = frozenset()  # the most specific ones, as `concept_key` gives them
    broader: frozenset[str] = frozenset()  # those of all levels
    words: frozenset[str] = frozenset()  # labels of classifications, which may be made up
    vectors: tuple[Vectors, ...] = ()  # of the runs, where cosines are asked for


class Sight:
    """Gathers what training has seen, place by place."""

    def __init__(self, with_vectors: bool) -> None:
        self._with_vectors = with_vectors
        self._places: list[dict[str, Any]] = []
        self._images: dict[str, str] = {}  # ref -> perceptual hash
        self._sets: dict[str, set[str]] = defaultdict(set)
        self._vectors: list[Vectors] = []

    def seen(self) -> Seen:
        """Everything so far."""
        hashes = np.array(sorted({hash_bits(phash) for phash in self._images.values()}), dtype=np.uint64)
        sets = {name: frozenset(self._sets[name] - {""}) for name in ("documents", "concepts", "broader", "words")}
        return Seen(self._places, frozenset(self._images), hashes, **sets, vectors=tuple(self._vectors))

    def look(self, place: str) -> None:
        """Takes in a run or a plan; InputError for a place that is neither."""
        folder = Folder.of(place)
        name = folder.uri.rstrip("/").rpartition("/")[2]
        if folder.exists(PLAN):
            self._plan(name, Plan.open(folder))
        elif Run(folder).stages("demonstrations"):
            self._run(name, Run(folder))
        else:
            raise InputError(f"decontaminate.against: {place} is neither a run with demonstrations nor a plan ({PLAN})")

    def _run(self, name: str, run: Run) -> None:
        digests = {f.uri.rpartition("/")[2]: StageManifest.load(f).digest for f in run.required("demonstrations")}
        count = sum(self._demonstration(d) for d in run.demonstrations())
        if run.episodes.exists(MANIFEST):
            self._sets["words"] |= _labels(run.episodes)
        if self._with_vectors:
            self._vectors.append(_vectors(run))
        self._places.append({"name": name, "is": "run", "digests": digests, "demonstrations": count})

    def _plan(self, name: str, plan: Plan) -> None:
        if self._with_vectors:
            raise InputError(f"decontaminate.cosine: the plan {name} has no vectors; name its runs under against as well")
        known = self._concepts_behind(plan)
        count = sum(self._episode(episode, known) for episode in _drawn(plan))
        self._places.append({"name": name, "is": "plan", "digest": plan.digest, "samples": count})

    def _demonstration(self, demonstration: Demonstration) -> int:
        self._images |= {image.ref: image.phash for image in demonstration.images}
        self._sets["documents"].add(demonstration.document_id)
        self._concepts(demonstration.concepts)
        return 1

    def _concepts(self, names: Iterable[str]) -> None:
        keys = [concept_key(name) for name in names]
        self._sets["concepts"] |= set(keys[:1])
        self._sets["broader"] |= set(keys)

    def _episode(self, episode: Episode, known: Mapping[str, tuple[str, ...]]) -> int:
        """What a sample's turns show, `known` tells; of turns that it does not know, labels are taken for concepts."""
        self._concepts([episode.concept])
        for shot in (*episode.demonstrations, episode.query):
            self._images |= {image.ref: image.phash for image in shot.images}
            self._sets["documents"].add(shot.document_id)
            self._concepts(known.get(shot.demonstration_id, ()))
            if shot.demonstration_id not in known and episode.format != CAPTION and len(shot.label) <= LABEL:
                self._concepts([shot.label])
            if episode.format == PSEUDO:
                self._sets["words"].add(shot.label.casefold())
        return 1

    def _concepts_behind(self, plan: Plan) -> dict[str, tuple[str, ...]]:
        """Concepts by demonstration id of the runs whose shards a plan draws from, where the runs are still there."""
        known: dict[str, tuple[str, ...]] = {}
        for uri in sorted({folder.uri for folder, _, _ in plan.shards}):
            run = Run.at(uri.removesuffix("/shards"))
            if uri.endswith("/shards") and run.stages("demonstrations"):
                known |= {d.id: d.concepts for d in run.demonstrations()}
        return known


def read_seen(places: Iterable[str], with_vectors: bool = False) -> Seen:
    """What runs (their demonstrations) and plans (the samples they draw) show."""
    sight = Sight(with_vectors)
    for place in places:
        sight.look(place)
    return sight.seen()


def hash_bits(phash: str) -> int:
    """A perceptual hash as a number; 0 where it cannot be read."""
    try:
        return int(phash, 16) & (2**64 - 1)
    except ValueError:
        return 0


def _vectors(run: Run) -> Vectors:
    if not run.embeddings.exists(MANIFEST):
        raise InputError(f"decontaminate.cosine: {run.root.uri} has no embeddings; run curate embed first")
    return Vectors.read(run.embeddings, "image")


def _labels(episodes: Folder) -> set[str]:
    """The labels that classifications of a run were given, case folded."""
    import pyarrow.compute as pc

    found: set[str] = set()
    for table in read_stage(episodes):
        chosen = table.filter(pc.equal(table.column("format"), PSEUDO))
        for label in pc.unique(pc.struct_field(chosen.column("query"), "label")).to_pylist():
            found.add(str(label).casefold())
        for shots in chosen.column("demonstrations").chunks:
            found |= {str(label).casefold() for label in pc.unique(pc.struct_field(shots.flatten(), "label")).to_pylist()}
    return found


def _drawn(plan: Plan) -> Iterator[Episode]:
    """The samples that stand in a plan's order, each once."""
    files: dict[tuple[str, str], Any] = {}
    try:
        for sample in np.unique(plan.order).tolist():
            folder, shard, _ = plan.shards[plan.shard_of(sample)]
            place = plan.places(sample)[0]
            key = (folder.uri, shard)
            if key not in files:
                files[key] = folder.open(shard)
            files[key].seek(place.offset)
            yield _read(files[key].read(place.size), f"{folder.uri}/{shard}")
    finally:
        for file in files.values():
            file.close()


def _read(data: bytes, where: str) -> Episode:
    try:
        return from_json(Episode, json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise IntegrityError(f"{where} holds no episode where the plan says; write shards and plan again") from None
