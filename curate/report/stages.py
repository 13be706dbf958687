"""The stages of a run as their manifests tell them: what came in, what came out, what was left out and why."""

from collections import Counter
from dataclasses import dataclass

from curate.engine import MANIFEST, StageManifest
from curate.errors import InputError
from curate.layout import Run
from curate.storage import hash_json


@dataclass(frozen=True)
class Room:
    """A room of the pipeline and what its counts count."""

    name: str
    takes: str  # what its stages count as "in"
    gives: str  # what they count as "out"
    by_source: bool = False  # one stage folder a source
    is_inner: bool = False  # a step on the way to the next room, which counts its records again


ROOMS = (
    Room("extracted", "pages", "pages read", by_source=True, is_inner=True),
    Room("documents", "pages", "documents", by_source=True),
    Room("demonstrations", "records", "demonstrations", by_source=True),
    Room("embeddings", "demonstrations", "vectors"),
    Room("episodes", "queries", "episodes"),
    Room("shards", "episodes", "samples"),
)


@dataclass(frozen=True)
class FinishedStage:
    """One finished stage of the run."""

    room: Room
    source: str  # "" for a room with one stage
    manifest: StageManifest

    @property
    def name(self) -> str:
        """`room/source`, the folder of the stage inside the run."""
        return f"{self.room.name}/{self.source}" if self.source else self.room.name

    @property
    def seen(self) -> int:
        """Records that came in."""
        return self.manifest.counts.get("in", 0)

    @property
    def made(self) -> int:
        """Records that came out."""
        return self.manifest.counts.get("out", 0)

    @property
    def adds_up(self) -> bool:
        """Whether each record that came in came out, was dropped or was rejected, one for one."""
        counts = self.manifest.counts
        return self.seen > 0 and self.seen == self.made + counts.get("dropped", 0) + counts.get("rejected", 0)


@dataclass(frozen=True)
class Stages:
    """All finished stages in the order of the pipeline, and the manifests that could not be read."""

    finished: list[FinishedStage]
    unreadable: list[str]

    def of(self, room: str) -> list[FinishedStage]:
        """The finished stages of one room."""
        return [stage for stage in self.finished if stage.room.name == room]

    @property
    def sources(self) -> list[str]:
        """Names of the sources that documents or demonstrations came from."""
        return sorted({stage.source for stage in self.finished if stage.source})

    @property
    def identity(self) -> str:
        """Twelve digits that stand for the content of the whole run."""
        return hash_json([[stage.name, stage.manifest.digest] for stage in self.finished])[:12]

    def made(self, room: str) -> int | None:
        """Records that a room made over all its stages; None when it has not run."""
        stages = self.of(room)
        return sum(stage.made for stage in stages) if stages else None


def read_stages(run: Run) -> Stages:
    """Reads every stage manifest of a run; InputError when there is none at all."""
    stages = Stages([], [])
    for room in ROOMS:
        for source in _sources(run, room):
            _read(run, room, source, stages)
    if not stages.finished:
        raise InputError(f"{run.root.uri} holds no finished stage; make one first (curate --help lists the order)")
    return stages


def _sources(run: Run, room: Room) -> list[str]:
    if not room.by_source:
        return [""] if (run.root / room.name).exists(MANIFEST) else []
    start = len((run.root / room.name).uri) + 1
    return [folder.uri[start:] for folder in run.stages(room.name)]


def _read(run: Run, room: Room, source: str, into: Stages) -> None:
    name = f"{room.name}/{source}" if source else room.name
    try:
        into.finished.append(FinishedStage(room, source, StageManifest.load(run.root / name)))
    except InputError:
        into.unreadable.append(f"{name}/{MANIFEST}")


def most_common(counts: dict[str, int], limit: int) -> tuple[list[tuple[str, int]], int]:
    """The `limit` largest of some counts, ties by name, and how many names are left out."""
    ranked = sorted(Counter(counts).items(), key=lambda item: (-item[1], item[0]))
    return ranked[:limit], max(0, len(ranked) - limit)
