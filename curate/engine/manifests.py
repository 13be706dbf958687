"""What a stage is, and what it leaves behind: receipts of its parts and the manifest of the whole."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from curate import __version__
from curate.errors import InputError, QualityError
from curate.settings import Settings
from curate.storage import Folder, hash_json

if TYPE_CHECKING:
    from curate.engine.parts import PartWriter

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)

RECEIPTS = "receipts"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Partition(Generic[P]):
    """One unit of work. `fingerprint` changes whenever the work's input does; `payload` must pickle."""

    fingerprint: str
    payload: P


class Stage(Protocol[P_contra]):
    """A step of the pipeline: small, typed, and ignorant of files, workers and other partitions."""

    name: str
    version: str  # raised by hand when the same input and settings give other output

    @property
    def settings(self) -> Settings:
        """What shapes the output; a plain attribute of any Settings subclass will do."""

    def setup(self) -> None:
        """Called once in every worker before the first partition: load models here."""

    def process(self, payload: P_contra, part: "PartWriter") -> None:
        """Turns one partition into a part."""


@dataclass
class Receipt:
    """What one finished part holds."""

    name: str
    key: str
    files: dict[str, str]
    sizes: dict[str, int]
    seen: int
    made: int
    dropped: dict[str, int]
    rejected: dict[str, int]
    tallies: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class StageManifest:
    """What a finished stage holds, and the hash that stands for all of it downstream."""

    stage: str
    version: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, str]  # name inside the stage's folder -> SHA-256
    counts: dict[str, int]  # in, out, dropped, rejected
    dropped: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    parts: list[dict[str, Any]] = field(default_factory=list)  # name, in, out of every part, in order
    sizes: dict[str, int] = field(default_factory=dict)  # name -> bytes
    tallies: dict[str, dict[str, int]] = field(default_factory=dict)  # kind -> name -> count, see PartWriter.tally

    @property
    def digest(self) -> str:
        """Content hash: equal digests, equal output files."""
        return hash_json(vars(self))

    @property
    def lineage(self) -> str:
        """The entry that this stage adds to a record's provenance. It names the recipe (stage, version,
        settings), which is known before the first record is made."""
        return lineage(self.stage, self.version, self.settings)

    def save(self, folder: Folder) -> None:
        """Writes manifest.json: the stage is finished."""
        text = json.dumps(vars(self), indent=2, sort_keys=True, ensure_ascii=False)
        folder.write(MANIFEST, (text + "\n").encode())

    @classmethod
    def load(cls, folder: Folder) -> "StageManifest":
        """The manifest in a folder; InputError when the stage is missing or unfinished."""
        if not folder.exists(MANIFEST):
            raise InputError(f"{folder.uri} holds no finished stage ({MANIFEST} is missing); run its command first")
        try:
            return cls(**json.loads(folder.read(MANIFEST)))
        except (ValueError, TypeError):
            raise InputError(f"{folder.uri}/{MANIFEST} is not a stage manifest; remove the folder and run again") from None

    def tables(self, suffix: str = ".parquet") -> list[str]:
        """Names of the stage's part files with a suffix, in order."""
        names = (name for name in self.files if name.endswith(suffix))
        return sorted(names, key=lambda name: (len(name), name))  # part-100000 comes after part-99999


def lineage(stage: str, version: str, settings: Mapping[str, Any]) -> str:
    """`stage:12 digits` for a record's provenance."""
    return f"{stage}:{hash_json([stage, version, settings])[:12]}"


def version_of(stage: Stage[Any]) -> str:
    """Package version and the stage's own, as manifests record them."""
    return f"{__version__}/{stage.version}"


def lineage_of(stage: Stage[Any]) -> str:
    """The lineage entry for records that `stage` makes."""
    return lineage(stage.name, version_of(stage), stage.settings.model_dump(mode="json"))


def check_rejected(manifest: StageManifest, max_rejected: float) -> None:
    """QualityError when more than a share `max_rejected` of what came in was rejected."""
    rejected, seen = manifest.counts["rejected"], manifest.counts["in"]
    if seen and rejected / seen > max_rejected:
        worst = ", ".join(f"{n} {reason}" for reason, n in sorted(manifest.rejected.items(), key=lambda item: -item[1])[:3])
        raise QualityError(
            f"{manifest.stage}: {rejected} of {seen} records rejected ({worst}), over --max-rejected {max_rejected:g};"
            f" see rejected/ in its folder, or raise the limit"
        )
