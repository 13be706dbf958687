"""`curate bench build|show|check`: frozen benchmarks. Other files add their commands to the group `bench`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.console import answer, say, table
from pipelines.options import AsJson, DryRun, Overrides

if TYPE_CHECKING:
    from curate.benches import BenchManifest

bench = typer.Typer(no_args_is_help=True, help="Frozen benchmarks: build, import, look at and check them.")

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="YAML file: benchmarks and decontaminate.", show_default=False)]
BenchesOut = Annotated[
    str, typer.Option("--out", "-o", metavar="BENCHES", help="Folder that gets a folder a benchmark.", show_default=False)
]
BenchDir = Annotated[
    str, typer.Argument(metavar="BENCH", help="The benchmark's folder; a path or an fsspec URL.", show_default=False)
]
Against = Annotated[
    list[str], typer.Option("--against", metavar="RUN", help="A training run or plan to compare with; may be repeated.")
]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    bench.command("build")(build)
    bench.command("show")(show)
    bench.command("check")(check)
    app.add_typer(bench, name="bench")


def build(
    spec: SpecFile,
    out: BenchesOut,
    set_: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Build frozen benchmarks from the demonstrations of runs, one folder each.

    Whatever shares a picture, a document or a concept with the runs and plans under `decontaminate: against` is left out;
    DISJOINT.md in each folder proves it. The table shows what answerers without a model score. A benchmark that is there
    under the same version is never replaced by another.

    Example:

        curate bench build benchmarks.yaml --out benches
        curate bench build benchmarks.yaml --out benches --dry-run
    """
    from curate.benchmarks.building import build_benches, plan_benches
    from curate.benchmarks.settings import load_spec
    from curate.storage import Folder

    whole, benches = load_spec(spec, set_)
    if dry_run:
        _tell([_facts(manifest) for manifest in plan_benches(whole, benches, spec.parent, say)], as_json)
        return
    built = build_benches(whole, benches, spec.parent, Folder.of(out), say)
    for each in built:
        say(f"{each.bench.folder.uri}: {'as it was' if each.unchanged else 'written'}, digest {each.bench.digest[:12]}")
    _tell([_facts(each.bench.manifest) | {"digest": each.bench.digest} for each in built], as_json)


def show(place: BenchDir, as_json: AsJson = False) -> None:
    """Show what a benchmark asks, how much of it there is, and what answerers without a model score on it.

    Example:

        curate bench show benches/emoji-2way
    """
    from curate.benches import Bench

    opened = Bench.open(place)
    facts = _facts(opened.manifest) | {"digest": opened.digest, "disjoint": opened.manifest.disjoint}
    if as_json:
        answer(facts)
        return
    say(f"{opened.name}, version {opened.manifest.version}: {opened.manifest.title} ({opened.manifest.domain})")
    _tell([facts], False)
    shared = opened.manifest.disjoint.get("shared")
    held = "not held against training" if shared is None else f"shared with training: {_pairs(shared)}"
    say(f"{held}; licences: {_pairs(opened.manifest.licences)}; digest {opened.digest[:12]}")


def check(place: BenchDir, against: Against = [], as_json: AsJson = False) -> None:  # noqa: B006  typer reads the default
    """Check a benchmark: its bytes and pictures, shortcuts, leaks, and with --against what it shares with training.

    Exits 3 when something is wrong.

    Example:

        curate bench check benches/emoji-2way --against runs/emoji
    """
    from curate.benches import Bench
    from curate.benchmarks.checking import check_bench
    from curate.errors import QualityError

    opened = Bench.open(place)
    faults = check_bench(opened, against)
    if as_json:
        answer({"name": opened.name, "digest": opened.digest, "items": len(opened.items), "faults": faults})
    else:
        for fault in faults:
            say(fault)
        say(f"{opened.name}: {len(opened.items):,} items, {len(faults)} faults")
    if faults:
        raise QualityError(f"{place} has {len(faults)} faults; the first: {faults[0]}")


def _facts(manifest: "BenchManifest") -> dict[str, Any]:
    kept = ("name", "version", "kind", "metric", "domain", "title", "counts", "baselines", "licences")
    facts = {name: getattr(manifest, name) for name in kept}
    return facts | {"left_out": manifest.disjoint.get("left_out", {})}


def _tell(benches: list[dict[str, Any]], as_json: bool) -> None:
    """Benchmarks as JSON, or as a table with a row a number of shots."""
    if as_json:
        answer(benches)
        return
    rows = [_row(facts, shots) for facts in benches for shots in facts["counts"]]
    table("benchmarks", ["name", "shots", "questions", "items", "chance", "best blind", "knn"], rows)


def _row(facts: dict[str, Any], shots: str) -> list[str]:
    """A number of shots of a benchmark; `best blind` is what scores best without a look at the query's picture."""
    from curate.benchmarks.baselines import BLIND

    count, scores = facts["counts"][shots], facts["baselines"].get(shots, {})
    blind = max((scores[name] for name in BLIND if name in scores), default=None)
    found = [scores.get("chance"), blind, scores.get("knn")]
    shown = ["" if score is None else f"{score:.3f}" for score in found]
    return [facts["name"], shots, f"{count['groups']:,}", f"{count['items']:,}", *shown]


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ') or 'none stated'} {count:,}" for name, count in counts.items()) or "nothing"
