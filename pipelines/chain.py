"""The main job: sources to shards and a report, room after room in one run folder.

Every room resumes by itself, so the chain holds no state of its own: run it again and it goes on where it
stopped, redoing only what the settings or the inputs have changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import yaml
from pydantic import Field, field_validator

from curate.demonstrations import IMPORTERS, AlignSettings, align, import_set, prepare
from curate.documents import mine, settings_of
from curate.encoders import ENCODERS, EmbedSettings, embed
from curate.engine import StageManifest, check_rejected
from curate.episodes import EpisodeSettings, build_episodes, check_lint, lint_run
from curate.errors import ConfigError, QualityError
from curate.layout import Run
from curate.registry import nearest
from curate.report import ReportSettings, write_report
from curate.retrieval import IndexSettings, build_index
from curate.settings import Settings
from curate.shards import ShardSettings, write_shards
from curate.sources import locate
from pipelines.commands.align import EncoderScorer
from pipelines.console import Watch

PAGES = "pages"
Until = Literal["sources", "align", "embed", "index", "episodes", "shards", "report"]


class SourceSettings(Settings):
    """One source of a run."""

    kind: str
    """`pages` for HTML, or an importer: captions, classes, metadata, datasets, llava, emoji."""
    path: str
    """A file, folder, archive or `sample:NAME`."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What the source is called in the run."""
    licence: str = ""
    """SPDX name of the licence; a sample brings its own."""
    preset: str = "obelics"
    """Filters of pages: obelics, mmc4 or none."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of `curate mine` or of the importer."""

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind != PAGES:
            IMPORTERS.get(kind)
        return kind


class ChainSettings(Settings):
    """Everything that `curate build-episodes` can be told; each room has its section."""

    sources: list[SourceSettings] = Field(default_factory=list)
    """Where pages and pictures come from; none starts from what the run already holds."""
    align: AlignSettings = AlignSettings()
    """Documents to demonstrations."""
    embed: EmbedSettings = EmbedSettings()
    """Demonstrations to vectors."""
    index: IndexSettings = IndexSettings()
    """Vectors to an index."""
    episodes: EpisodeSettings = EpisodeSettings()
    """Neighbours to episodes."""
    lint_margin: float = Field(0.05, ge=0, le=1)
    """How far above chance a shortcut's interval may begin."""
    shards: ShardSettings = ShardSettings()
    """Episodes to shards."""
    report: ReportSettings = ReportSettings()
    """The page for people."""

    @field_validator("sources")
    @classmethod
    def _distinct(cls, sources: list[SourceSettings]) -> list[SourceSettings]:
        names = [source.name for source in sources]
        if len(set(names)) < len(names):
            raise ValueError("two sources have the same name")
        return sources


@dataclass(frozen=True)
class Chain:
    """One build: what is wanted, where it goes, and who does it."""

    settings: ChainSettings
    run: Run
    workers: int
    watch: Watch

    def steps(self) -> "Iterator[tuple[Until, Callable[[], list[StageManifest]]]]":
        """The rooms in order, each under the name that `--until` knows."""
        for source in self.settings.sources:
            yield "sources", partial(self._source, source)
        yield "align", self._align
        yield "embed", lambda: [embed(self.run, self.settings.embed, "demonstrations", self.workers, self.watch)]
        yield "index", lambda: [build_index(self.run, self.settings.index, self.workers, self.watch)]
        yield "episodes", self._episodes
        yield "shards", lambda: [write_shards(self.run, self.settings.shards, self.workers, self.watch)]
        yield "report", self._report

    def build(self, until: Until = "report") -> list[StageManifest]:
        """Runs the steps as far as `until`; manifests in the order in which they were made.

        Raises QualityError when the episodes have a shortcut; the report is written all the same.
        """
        self._write_config()
        order = get_args(Until)
        wanted = [step for name, step in self.steps() if order.index(name) <= order.index(until)]
        return [manifest for step in wanted for manifest in step()]

    def _source(self, source: SourceSettings) -> list[StageManifest]:
        if source.kind == PAGES:
            how = settings_of(source.preset, source.settings, licence=source.licence)
            return [mine([source.path], how, self.run, source.name, self.workers, self.watch)]
        given = {**source.settings, **({"licence": source.licence} if source.licence else {})}
        place, name = source.path, source.name
        return [import_set(source.kind, place, given, self.run, name, self.workers, self.watch)]

    def _align(self) -> list[StageManifest]:
        if not self.run.stages("documents"):
            return []
        scorer = EncoderScorer(self.settings.embed.encoder)
        return list(align(self.settings.align, self.run, scorer, [], self.workers, self.watch))

    def _episodes(self) -> list[StageManifest]:
        manifest = build_episodes(self.run, self.settings.episodes, self.workers, self.watch)
        found = lint_run(self.run, self.settings.lint_margin)
        try:
            check_lint(found)
        except QualityError:
            self._report()
            raise
        return [manifest]

    def _report(self) -> list[StageManifest]:
        write_report(self.run, self.settings.report, self.watch)
        return []

    def _write_config(self) -> None:
        text = yaml.safe_dump(self.settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        self.run.root.write("config.yaml", text.encode())


def check_sources(settings: ChainSettings, run: Run) -> list[tuple[str, str, str]]:
    """(name, kind, path) of every source; ConfigError or InputError when one cannot be used, before any work."""
    if not settings.sources and not (run.stages("demonstrations") or run.stages("documents")):
        raise ConfigError("no sources are given and the run is empty; add a `sources:` list to the configuration")
    ENCODERS.get(settings.embed.encoder.partition(":")[0])
    for source in settings.sources:
        if source.kind == PAGES:
            settings_of(source.preset, source.settings, licence=source.licence)
            locate(source.path)
        else:
            prepare(source.kind, source.path, source.settings, source.name)
    return [(source.name, source.kind, source.path) for source in settings.sources]


def unnamed_sources(settings: ChainSettings, run: Run) -> list[str]:
    """Sources that the run holds from elsewhere and that take part although the configuration does not name them."""
    named = {source.name for source in settings.sources}
    held = {stage.uri.rpartition("/")[2] for room in ("documents", "demonstrations") for stage in run.stages(room)}
    return sorted(held - named)


def check_all_rejected(made: list[StageManifest], max_rejected: float) -> None:
    """QualityError when a stage rejected more than its share of records."""
    for manifest in made:
        check_rejected(manifest, max_rejected)


def step_named(name: str) -> Until:
    """A step's name, checked; ConfigError names the nearest one."""
    steps: tuple[Until, ...] = get_args(Until)
    for step in steps:
        if step == name:
            return step
    raise ConfigError(f"--until knows no step {name!r}{nearest(name, steps)}; known: {', '.join(steps)}")
