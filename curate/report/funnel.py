"""The way of the records through the rooms, with what was left out and why."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curate.report.charts import share_bar
from curate.report.stages import ROOMS, FinishedStage, Stages, most_common
from curate.report.wording import megabytes, share, short, words

REASONS = 12
"""Reasons shown a stage; the rest is counted."""

LONGEST_SETTINGS = 20_000
"""Characters of a stage's settings."""


@dataclass(frozen=True)
class Reason:
    """Why records were left out, and how many."""

    kind: str  # dropped, rejected, or what a tally of the stage counts
    name: str
    count: int
    share: str  # of the records that came in, "" in a tally


@dataclass(frozen=True)
class Step:
    """One stage on the way."""

    name: str
    seen: int
    made: int
    dropped: int
    rejected: int
    balance: Markup  # "" when records in and out are not one for one
    reasons: Sequence[Reason]
    more_reasons: int
    insides: Sequence[Reason]


@dataclass(frozen=True)
class Floor:
    """A room: its total and its stages."""

    title: str
    takes: str
    gives: str
    made: int | None  # None when the room has not run
    is_inner: bool
    steps: Sequence[Step]
    extra: str  # a remark such as the number of shards


@dataclass(frozen=True)
class Proof:
    """Where a stage's output comes from: what a reader needs to make it again."""

    name: str
    version: str
    digest: str
    lineage: str
    inputs: Sequence[tuple[str, str]]
    settings: str  # JSON
    files: int
    size: str


def funnel(stages: Stages) -> list[Floor]:
    """All rooms in order, those that have not run included."""
    return [
        Floor(
            room.name,
            room.takes,
            room.gives,
            stages.made(room.name),
            room.is_inner,
            [_step(stage) for stage in stages.of(room.name)],
            _extra(stages.of(room.name)),
        )
        for room in ROOMS
    ]


def _step(stage: FinishedStage) -> Step:
    counts = stage.manifest.counts
    dropped, rejected = counts.get("dropped", 0), counts.get("rejected", 0)
    parts = [("kept", stage.made, "kept"), ("dropped", dropped, "dropped"), ("rejected", rejected, "rejected")]
    titled = [(kind, n, f"{n:,} {word} ({share(n, stage.seen)})") for kind, n, word in parts]
    reasons, more = _reasons(stage)
    balance = share_bar(titled) if stage.adds_up else Markup("")
    return Step(
        stage.source or stage.room.name, stage.seen, stage.made, dropped, rejected, balance, reasons, more, _insides(stage)
    )


def _reasons(stage: FinishedStage) -> tuple[list[Reason], int]:
    manifest, found, more = stage.manifest, list[Reason](), 0
    for kind, counts in {"dropped": manifest.dropped, "rejected": manifest.rejected}.items():
        shown, left_out = most_common(counts, REASONS)
        found += [Reason(kind, words(name), n, share(n, stage.seen)) for name, n in shown]
        more += left_out
    return found, more


def _insides(stage: FinishedStage) -> list[Reason]:
    """What the stage counted below the level of records, such as nodes and the guard's refusals. What shards and
    episodes tally of their kinds stands in the plots."""
    if stage.room.name == "shards":
        return []
    tallies = {kind: counts for kind, counts in stage.manifest.tallies.items() if kind != "cell"}
    kinds = ((kind, most_common(counts, REASONS)[0]) for kind, counts in tallies.items())
    return [Reason(words(kind), words(name), n, "") for kind, ranked in kinds for name, n in ranked if n]


def _extra(stages: Sequence[FinishedStage]) -> str:
    tars = [size for stage in stages for name, size in stage.manifest.sizes.items() if name.endswith(".tar")]
    return f"in {len(tars):,} shard{'s' if len(tars) != 1 else ''}, {megabytes(sum(tars))}" if tars else ""


def proofs(stages: Stages) -> list[Proof]:
    """Version, settings, inputs and digest of every stage."""
    return [_proof(stage) for stage in stages.finished]


def _proof(stage: FinishedStage) -> Proof:
    manifest = stage.manifest
    settings = json.dumps(manifest.settings, indent=2, sort_keys=True, ensure_ascii=False)
    inputs = sorted((str(name), str(digest)) for name, digest in manifest.inputs.items())
    size = megabytes(sum(manifest.sizes.values()))
    return Proof(
        stage.name,
        manifest.version,
        manifest.digest,
        manifest.lineage,
        inputs,
        short(settings, LONGEST_SETTINGS),
        len(manifest.files),
        size,
    )
