"""From another project's files to a frozen benchmark."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.benches import FORMAT, Bench, BenchManifest, Item, counts_of
from curate.benchmarks.baselines import baselines
from curate.benchmarks.freezing import freeze
from curate.benchmarks.importing import BENCH_IMPORTERS
from curate.benchmarks.importing.desk import Desk
from curate.benchmarks.importing.settings import FileSettings
from curate.demonstrations.importing import slug
from curate.demonstrations.reading import Root
from curate.errors import InputError, QualityError
from curate.settings import build
from curate.storage import Folder

REJECTED = "rejected.jsonl"


@dataclass(frozen=True)
class Brought:
    """What an import found."""

    manifest: BenchManifest  # with counts, without hashes
    items: list[Item]
    seen: int  # records looked at
    rejected: list[dict[str, str]]  # {"record", "reason", "detail"}
    pictures: Mapping[str, bytes]


def prepare(kind: str, settings: Mapping[str, Any], out: str) -> FileSettings:
    """Checked settings with the benchmark's name filled in."""
    checked = build(BENCH_IMPORTERS.get(kind).settings, settings, f"settings of {kind}")
    return checked.model_copy(update={"name": checked.name or slug(out.rstrip("/").rpartition("/")[2])[:100]})


def bring(kind: str, path: Path, settings: FileSettings, max_rejected: float = 0.5) -> Brought:
    """Reads a set into items. InputError when it cannot be read or gives none, QualityError when a larger share than
    `max_rejected` of its records is bad."""
    importer = BENCH_IMPORTERS.get(kind)
    if not path.exists():
        raise InputError(f"{path} does not exist; give the path of the set to import")
    desk = Desk(Root(importer.root(path, settings)), settings)
    items = list(importer.items(path, settings, desk))
    bad = f"{len(desk.rejected)} of {desk.seen} records of {path.name} are bad ({_listed(desk.reasons)})"
    if not items:
        first = next((f"; the first: {row['record']}, {row['detail']}" for row in desk.rejected), "")
        raise InputError(f"{path.name} gives no item at {settings.shots or 'any'} shots: {bad}{first}")
    if len(desk.rejected) > max_rejected * desk.seen:
        raise QualityError(f"{bad}, more than --max-rejected {max_rejected}; nothing was written")
    metric = importer.metric(settings, items)
    pictures = Pictures(items, desk)
    manifest = BenchManifest(
        format=FORMAT,
        name=settings.name,
        version=settings.version,
        title=settings.title or importer.title,
        kind=f"import-{kind}",
        metric=metric,
        domain=settings.domain or path.stem,
        spec={"settings": settings.model_dump(mode="json"), "records": desk.seen, "rejected": desk.reasons},
        counts=counts_of(items),
        baselines=baselines(items, metric),
        disjoint={},
        licences={settings.licence: len(pictures)},
    )
    return Brought(manifest, items, desk.seen, desk.rejected, pictures)


def import_bench(
    kind: str, path: Path, out: Folder, settings: FileSettings, max_rejected: float = 0.5
) -> tuple[Bench, Brought, bool]:
    """Writes a set as a benchmark; says also whether the same one was there already. Bad records are in rejected.jsonl."""
    brought = bring(kind, path, settings, max_rejected)
    lines = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in brought.rejected)
    bench, unchanged = freeze(out, brought.manifest, brought.items, brought.pictures, {REJECTED: lines.encode()})
    return bench, brought, unchanged


class Pictures(Mapping[str, bytes]):
    """The pictures that items show, read from the source once more when they are asked for."""

    def __init__(self, items: list[Item], desk: Desk) -> None:
        shots = (shot for item in items for shot in (*item.episode.demonstrations, item.episode.query))
        self._refs = sorted({image.ref for shot in shots for image in shot.images})
        self._desk = desk

    def __getitem__(self, ref: str) -> bytes:
        return self._desk.data(ref)

    def __iter__(self) -> Iterator[str]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)


def _listed(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in reasons.items()) or "none"
