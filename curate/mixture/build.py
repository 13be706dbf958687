"""A spec and opened sources to a plan in a folder: scan, compose, write."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curate.engine import MANIFEST, Progress, StageManifest
from curate.errors import ConfigError, QualityError
from curate.mixture.accounts import account, beyond, report_of
from curate.mixture.catalogue import rejected_in, scan
from curate.mixture.compose import compose
from curate.mixture.draw import renumbered
from curate.mixture.settings import PLACES, MixSpec
from curate.mixture.sources import Source
from curate.mixture.stock import assemble
from curate.mixture.tokens import Estimate, TokenCounter
from curate.shards.plans import FORMAT, PLAN, Plan, PlanManifest, write_plan
from curate.storage import Folder

CATALOGUE = "catalogue"
MOST_SAMPLES = 2**32


@dataclass(frozen=True)
class Mixing:
    """Where and how a plan is made."""

    plan: Folder
    catalogue: Folder  # shared between plans, or PLAN/catalogue
    counter: TokenCounter
    workers: int = 1
    progress: Progress | None = None


def mixing(plan: Folder, catalogue: str = "", counter: TokenCounter | None = None, workers: int = 1) -> Mixing:
    """With the defaults: PLAN/catalogue and estimated tokens."""
    return Mixing(plan, Folder.of(catalogue) if catalogue else plan / CATALOGUE, counter or Estimate(), workers)


def build_plan(spec: MixSpec, sources: Sequence[Source], how: Mixing) -> Plan:
    """Writes the plan that the spec asks for, as near as the sources allow it; see Plan.manifest.report.

    Equal sources, spec and token counts give equal bytes, whatever the workers. InputError when nothing can be
    drawn, ConfigError when the spec contradicts itself.
    """
    catalogues = scan(sources, how.counter, how.catalogue, how.workers, how.progress)
    stock = assemble(sources, catalogues)
    if len(stock) >= MOST_SAMPLES:
        raise ConfigError(f"a plan holds fewer than {MOST_SAMPLES:,} samples; split the sources over several plans")
    made = compose(spec, stock, sources)
    rejected = {source.name: rejected_in(folder) for source, folder in zip(sources, catalogues, strict=True)}
    report = account(spec, made, stock, sources, rejected, how.counter.name)
    order, kept = renumbered(made.order, len(stock))
    chosen = stock.taken(kept)
    manifest = PlanManifest(
        FORMAT,
        spec.seed,
        _said(spec, how.counter),
        tuple(s.planned(how.plan) for s in sources),
        tuple(made.ends.tolist()),
        report,
    )
    how.plan.remove(PLAN)  # a plan that is half replaced must not look whole
    return write_plan(how.plan, manifest, order, chosen.samples, chosen.members)


def _said(spec: MixSpec, counter: TokenCounter) -> dict[str, Any]:
    """The spec as plan.json has it: all that shapes the plan, and no place, so that equal plans have equal digests
    wherever their shards lie; where these are stands among the plan's sources."""
    shapes = spec.model_dump(mode="json", exclude={"catalogue": True, "sources": {"__all__": {*PLACES, "images"}}})
    return {**shapes, "tokens": counter.name}


def check_shares(plan: Plan) -> None:
    """QualityError when a share of the plan is off by more than the spec's tolerance."""
    report = report_of(plan)
    off = beyond(report)
    if off:
        worst = max(off, key=lambda row: abs(row["realised"] - row["requested"]))
        inside = "".join(f", {axis}={value}" for axis, value in worst["within"].items())
        raise QualityError(
            f"{len(off)} of {len(report['requested'])} shares are off by more than {report['tolerance']:g} points, the worst"
            f" {worst['axis']}={worst['value']}{inside}: {worst['realised']:.1f} instead of {worst['requested']:.1f}."
            f" The plan in {plan.folder.uri} is the nearest there is and is written; accept it with --allow-nearest,"
            " or change the spec"
        )


def stale_shards(plan: Plan) -> bool:
    """Whether the plan's folder holds materialised shards of another plan."""
    shards = plan.folder / "shards"
    return shards.exists(MANIFEST) and StageManifest.load(shards).inputs.get("plan") != plan.digest
