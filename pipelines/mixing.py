"""A spec to a plan: sources prepared and opened, tokens counted, the plan built."""

import os
from dataclasses import dataclass
from pathlib import Path

from curate.engine import Progress
from curate.errors import ConfigError
from curate.mixture.build import CATALOGUE, Mixing, build_plan
from curate.mixture.materialise import SHARDS, materialise
from curate.mixture.settings import ESTIMATE, MixSpec, SourceSpec, load_spec, plan_folder, processor_place, resolved
from curate.mixture.sources import Source, open_source
from curate.mixture.tokens import Estimate, TokenCounter
from curate.shards.plans import Plan
from curate.storage import Folder
from pipelines.instructions import check_prepared, prepare_source


@dataclass(frozen=True)
class Job:
    """A checked spec, and where its plan goes."""

    spec: MixSpec
    base: Path  # the spec's folder: its relative paths begin here
    plan: Folder

    @classmethod
    def read(cls, path: Path, overrides: list[str], out: str) -> "Job":
        """ConfigError or InputError when the spec or the place is wrong."""
        return cls(load_spec(path, overrides), path.parent, Folder.of(plan_folder(out)))

    def check(self) -> dict[str, Source]:
        """Opens what is there and checks what is still to be prepared; reads no sample."""
        for source in self.spec.sources:
            if source.prepared:
                check_prepared(source, self.base)
        opened = {source.name: self._open(source) for source in self.spec.sources if not source.prepared}
        for name, held in opened.items():
            if _same(held.folder, self.plan / SHARDS):
                raise ConfigError(
                    f"source {name!r} is the plan's own shards, which the plan would replace; give another --out"
                )
        return opened

    def build(self, workers: int, progress: Progress | None, with_shards: bool = False) -> Plan:
        """Makes the plan, and its own shards when wanted."""
        sources, how = self.sources(workers, progress)
        plan = build_plan(self.spec, sources, how)
        if with_shards:
            materialise(plan, None, workers, progress)
        return plan

    def sources(self, workers: int, progress: Progress | None) -> tuple[list[Source], Mixing]:
        """All sources opened, those without shards of their own prepared; and how the plan is to be made of them."""
        opened, how = self.check(), Mixing(self.plan, self._catalogue, self.counter(), workers, progress)
        return [opened.get(source.name) or self._prepared(source, how) for source in self.spec.sources], how

    def counter(self) -> TokenCounter:
        """The estimate, or the processor that the spec names."""
        if self.spec.tokens == ESTIMATE:
            return Estimate()
        from pipelines.counting import ProcessorCount  # loads transformers

        return ProcessorCount.load(processor_place(self.base, self.spec), self.spec.tokens)

    @property
    def _catalogue(self) -> Folder:
        shared = self.spec.catalogue
        return Folder.of(resolved(self.base, shared)) if shared else self.plan / CATALOGUE

    def _prepared(self, source: SourceSpec, how: Mixing) -> Source:
        """A source that has no shards of its own, with the shards that are made of it."""
        shared = bool(self.spec.catalogue)
        root = how.catalogue if shared else self.plan
        place = prepare_source(source, self.base, root, shared, how.workers, how.progress)
        return open_source(source, self.spec, place.uri)

    def _open(self, source: SourceSpec) -> Source:
        return open_source(source, self.spec, resolved(self.base, source.run or source.shards))


def _same(one: Folder, other: Folder) -> bool:
    """Whether two folders are one."""
    if one.is_local and other.is_local:
        return os.path.realpath(one.local()) == os.path.realpath(other.local())
    return one.uri == other.uri
