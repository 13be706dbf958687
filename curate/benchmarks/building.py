"""From a spec to frozen benchmarks: material read, decontaminated, made into items, proven and written."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from curate.benches import FORMAT, Bench, BenchManifest, Item, counts_of
from curate.benchmarks.baselines import baselines
from curate.benchmarks.decontaminating import faults, proof
from curate.benchmarks.disjoint import DISJOINT, report
from curate.benchmarks.freezing import freeze
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material, Training, read_material
from curate.benchmarks.seen import Seen, read_seen
from curate.benchmarks.settings import BenchesSpec, BenchSettings
from curate.errors import QualityError
from curate.mixture.settings import resolved
from curate.schema import Shot
from curate.storage import Folder


@dataclass(frozen=True)
class Built:
    """One benchmark of a build."""

    bench: Bench
    unchanged: bool  # it was there already, with the same content


@dataclass(frozen=True)
class Draft:
    """A benchmark that is not written yet."""

    spec: BenchSettings
    material: Material
    made: Made
    manifest: BenchManifest


@dataclass(frozen=True)
class Builder:
    """Makes the benchmarks of one spec; runs and training are read once, when they are first wanted."""

    spec: BenchesSpec
    base: Path  # the spec's folder: its relative paths begin here
    say: Callable[[str], None] = lambda line: None

    def draft(self, bench: BenchSettings) -> Draft:
        """The items of a benchmark and everything that is known of them; InputError when there are none, QualityError when
        they share something with training."""
        kind, material = KINDS.get(bench.kind), self._material(bench.demonstrations)
        self.say(f"{bench.name}: {sum(material.clean):,} of {len(material.demonstrations):,} demonstrations may be used")
        made = kind.build(bench, material, self.spec.seed)
        pictures = Pictures(made, material)
        manifest = BenchManifest(
            format=FORMAT,
            name=bench.name,
            version=bench.version,
            title=bench.title or kind.title,
            kind=bench.kind,
            metric=kind.metric,
            domain=bench.domain or material.name,
            spec=self._asked(bench, material),
            counts={},
            baselines=baselines(made.items, kind.metric),
            disjoint=self._disjoint(bench, material, made),
            licences=pictures.licences(),
        )
        return Draft(bench, material, made, manifest)

    @cached_property
    def seen(self) -> Seen:
        """What training has seen."""
        rules = self.spec.decontaminate
        return read_seen([resolved(self.base, place) for place in rules.against], rules.cosine is not None)

    @cached_property
    def _materials(self) -> dict[str, Material]:
        return {}

    def _material(self, place: str) -> Material:
        where = resolved(self.base, place)
        if where not in self._materials:
            rules, seen = self.spec.decontaminate, self.seen
            known = seen.broader if rules.concepts == "broader" else seen.concepts if rules.concepts else frozenset()
            training = Training(lambda run, rows: faults(run, rows, seen, rules), known, seen.words)
            self._materials[where] = read_material(where, training)
        return self._materials[where]

    def _asked(self, bench: BenchSettings, material: Material) -> dict[str, Any]:
        """The settings as bench.json states them: places by name and content, since where they lay means nothing later."""
        asked = bench.model_dump(mode="json") | {"demonstrations": material.name}
        return asked | {"seed": self.spec.seed, "inputs": material.digests}

    def _disjoint(self, bench: BenchSettings, material: Material, made: Made) -> dict[str, Any]:
        """The proof, {} when there is nothing to be disjoint from; QualityError when it fails."""
        left_out = {"demonstrations": _counts(material.faults), "questions": {k: n for k, n in made.left_out.items() if n}}
        if not self.spec.decontaminate.against:
            return {}
        concepts = concepts_of(made.items, material)
        found = proof(made.items, concepts, self.seen, self.spec.decontaminate, made.pictures.keys())
        if any(found["shared"].values()):
            raise QualityError(f"benchmark {bench.name!r} shares {found['shared']} with training, so it is not written")
        return {**found, "demonstrations": len(material.demonstrations), "left_out": left_out}


def build_benches(
    spec: BenchesSpec, benches: list[BenchSettings], base: Path, out: Folder, say: Callable[[str], None] = lambda line: None
) -> list[Built]:
    """Writes OUT/NAME for every benchmark. Equal spec and runs, equal bytes. InputError where a benchmark of the same version
    with other content is there, or the material gives no item."""
    builder = Builder(spec, base, say)
    return [_write(builder.draft(bench), out / bench.name) for bench in benches]


def plan_benches(
    spec: BenchesSpec, benches: list[BenchSettings], base: Path, say: Callable[[str], None] = lambda line: None
) -> list[BenchManifest]:
    """The manifests of what `build_benches` would write, with counts and without hashes."""
    builder = Builder(spec, base, say)
    drafts = (builder.draft(bench) for bench in benches)
    return [replace(draft.manifest, counts=counts_of(draft.made.items)) for draft in drafts]


def concepts_of(items: list[Item], material: Material) -> list[str]:
    """The most specific concepts of the run's demonstrations that items show, ascending."""
    shown = {shot.demonstration_id for item in items for shot in _shots(item)}
    return sorted({name for d in material.demonstrations if d.id in shown for name in d.concepts[:1]})


class Pictures(Mapping[str, bytes]):
    """The pictures of a draft, read when they are asked for: those of the run, and those that were composed."""

    def __init__(self, made: Made, material: Material) -> None:
        self._made, self._store = made, material.run.images
        refs = {image.ref for item in made.items for shot in _shots(item) for image in shot.images}
        self._refs = sorted(refs | set(made.pictures))
        self._licence = {image.ref: d.licence for d in material.demonstrations for image in d.images} | dict(made.licences)

    def __getitem__(self, ref: str) -> bytes:
        return self._made.pictures[ref] if ref in self._made.pictures else self._store.get(ref)

    def __iter__(self) -> Iterator[str]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def licences(self) -> dict[str, int]:
        """Pictures by licence, "" where none is known."""
        return dict(sorted(Counter(self._licence.get(ref, "") for ref in self._refs).items()))


def _write(draft: Draft, folder: Folder) -> Built:
    """Writes a draft; a benchmark of the same version must have the same content, then only what is said of it is renewed."""
    pictures, beside = Pictures(draft.made, draft.material), {DISJOINT: report(draft.manifest).encode()}
    return Built(*freeze(folder, draft.manifest, draft.made.items, pictures, beside))


def _counts(faults: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(fault for fault in faults if fault).items()))


def _shots(item: Item) -> Iterator[Shot]:
    yield from item.episode.demonstrations
    yield item.episode.query
