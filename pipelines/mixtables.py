"""Plans as tables and bars in the terminal, and as plain data for scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from curate.mixture.accounts import contents, demands, foremost, report_of
from pipelines.console import answer, say, table

if TYPE_CHECKING:
    from curate.mixture.diff import PlanDiff
    from curate.shards.plans import Plan
    from pipelines.mixing import Job

UNIT_WORDS = {"sample": "samples", "supervised_token": "supervised tokens", "image_token": "image tokens"}
WIDE = 30
"""Characters of a full bar."""
LEVELS = "▁▂▃▄▅▆▇█"
LONGEST = 16
"""Values of a demand that are shown."""
MOST = 12
"""Values of an axis that are shown, and rows of a diff for each axis."""


def summary(plan: "Plan") -> dict[str, Any]:
    """What a script wants to know of a plan."""
    return {"plan": plan.folder.uri, "digest": plan.digest, "blocks": list(plan.manifest.blocks), **report_of(plan)}


def would(job: "Job", as_json: bool) -> None:
    """What a build would do, from the sources' manifests alone."""
    opened = job.check()
    rows: list[dict[str, Any]] = []
    for spec in job.spec.sources:
        source = opened.get(spec.name)
        samples, shards = (source.manifest.counts["out"], len(source.shards)) if source else (None, None)
        rows.append({"source": spec.name, "samples": samples, "shards": shards, "replay": spec.replay})
    if as_json:
        answer({"plan": job.plan.uri, "unit": job.spec.unit, "size": job.spec.size, "sources": rows})
        return
    table("would mix", ("source", "samples", "shards"), [
        (r["source"], "to be prepared" if r["samples"] is None else f"{r['samples']:,}", r["shards"] or "") for r in rows
    ])  # fmt: skip
    say(f"would write a plan into {job.plan.uri}")


def unit_words(report: Mapping[str, Any]) -> str:
    """'supervised tokens (estimate)': what shares are shares of, and how that was counted."""
    words = UNIT_WORDS.get(report["unit"], str(report["unit"]))
    return words if report["unit"] == "sample" else f"{words} ({report['tokens']})"


def tell(plan: "Plan", whole: bool = True) -> None:
    """The realised mix beside the requested one, and the curriculum; `whole` adds the axes that nobody asked about."""
    report = report_of(plan)
    _tell_size(plan, report)
    for rows in demands(report):
        _tell_demand(report, rows)
    for axis, values in contents(report) if whole else ():
        if axis not in {row["axis"] for row in report["requested"] if not row["within"]}:
            _tell_marginal(report, axis, values)
    _tell_curriculum(report["curriculum"])
    reasons = report["reasons"]
    for line in (*reasons[:MOST], *report["notes"]):
        say(f"- {line}")
    if len(reasons) > MOST:
        say(f"- and {len(reasons) - MOST:,} more reasons; --json has them all")


def _tell_size(plan: "Plan", report: Mapping[str, Any]) -> None:
    size = report["size"]
    rows = [
        ("samples in the plan", f"{size['samples']:,}"),
        ("  distinct", f"{size['distinct']:,}"),
        ("  of available", f"{size['available']:,}"),
        (f"supervised tokens ({report['tokens']})", f"{size['supervised_tokens']:,}"),
        (f"image tokens ({report['tokens']})", f"{size['image_tokens']:,}"),
        ("blocks", f"{len(plan.manifest.blocks):,}"),
    ]
    for name, source in report["sources"].items():
        rows.append((f"draws from {name}, samples it has", f"{source['drawn']:,}, {source['samples']:,}"))
        rows += [(f"  rejected: {reason}", f"{number:,}") for reason, number in source["rejected"].items()]
    table(f"plan {plan.digest[:12]}", ("", "count"), rows)


def _tell_demand(report: Mapping[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    shown = foremost(rows, LONGEST)
    cells = [
        (row["value"], bar(row["realised"]), f"{row['requested']:.1f}", f"{row['realised']:.1f}",
         f"{round(row['realised'] - row['requested'], 1) + 0.0:+.1f}", "off" if row["reason"] else "")
        for row in shown
    ]  # fmt: skip
    if len(rows) > len(shown):
        cells.append((f"and {len(rows) - len(shown):,} more", "", "", "", "", ""))
    within = ", ".join(f"{axis}={value}" for axis, value in rows[0]["within"].items())
    title = f"{rows[0]['axis']}{f' inside {within}' if within else ''}, shares of {unit_words(report)}"
    table(title, (rows[0]["axis"], "", "asked %", "got %", "points", ""), cells, left=2)


def _tell_marginal(report: Mapping[str, Any], axis: str, values: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    shown = values[:MOST]
    rows = [(name, bar(v["share"]), f"{v['share']:.1f}", f"{v['samples']:,}") for name, v in shown]
    more = report["values"][axis] - len(shown)
    rows += [(f"and {more:,} more", "", "", "")] if more > 0 else []
    table(f"{axis}, shares of {unit_words(report)}", (axis, "", "%", "samples"), rows, left=2)


def bar(share: float) -> str:
    """A share in points as a bar."""
    eighths = round(share / 100 * WIDE * 8)
    return "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")


def _tell_curriculum(curriculum: Mapping[str, Any]) -> None:
    for track in curriculum["tracks"]:
        rows = [
            (value, spark([block[v] for block in track["realised"]]), f"{track['realised'][0][v]:.0f}",
             f"{track['realised'][-1][v]:.0f}")
            for v, value in enumerate(track["values"][:MOST])
        ]  # fmt: skip
        title = f"curriculum of {track['axis']}, {curriculum['blocks']} blocks, at most {curriculum['worst']:.1f} points off"
        table(title, (track["axis"], "realised", "first %", "last %"), rows, left=2)


def spark(shares: Sequence[float]) -> str:
    """Shares over the blocks, one character each, blank for none."""
    return "".join(" " if share <= 0 else LEVELS[min(7, int(share / 100 * 8))] for share in shares)


def as_data(found: "PlanDiff") -> dict[str, Any]:
    """A diff for scripts."""
    return {**asdict(found), "equal": found.equal}


def tell_diff(found: "PlanDiff") -> None:
    """Counts, and every share that differs."""
    rows = [
        ("samples in A", f"{found.a:,}"), ("samples in B", f"{found.b:,}"), ("distinct in both", f"{found.shared:,}"),
        ("only in A", f"{found.only_a:,}"), ("only in B", f"{found.only_b:,}"), ("repeated otherwise", f"{found.repeated:,}"),
        ("same samples", _yes(found.same_samples)), ("same order", _yes(found.same_order)),
        ("same blocks", _yes(found.same_blocks)),
    ]  # fmt: skip
    table("A and B", ("", ""), rows)
    different = [share for share in found.shares if abs(share.difference) >= 0.05]
    for axis, shares in groupby(different, key=lambda share: share.axis):
        largest = sorted(shares, key=lambda share: -abs(share.difference))[:MOST]
        lines = [(share.value, f"{share.a:.1f}", f"{share.b:.1f}", f"{share.difference:+.1f}") for share in largest]
        table(f"{axis}, shares that differ most", (axis, "A %", "B %", "points"), lines)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
