"""DISJOINT.md: what a benchmark was held against, what was left out, and how near the rest comes. For people."""

from collections.abc import Sequence

from curate.benches import BenchManifest

DISJOINT = "DISJOINT.md"


def report(manifest: BenchManifest) -> str:
    """The report as Markdown."""
    found = manifest.disjoint
    head = f"# {manifest.name}, version {manifest.version}: what it shares with training\n\n"
    if not found:
        return head + "It was not held against any training run or plan.\n"
    parts = [_against(manifest), _left_out(manifest), _shared(manifest), _near(manifest)]
    return head + "\n".join(parts)


def _against(manifest: BenchManifest) -> str:
    rows = [
        (place["name"], place["is"], f"{place.get('demonstrations', place.get('samples', 0)):,}")
        for place in manifest.disjoint["against"]
    ]
    return "## Held against\n\n" + _table(("Name", "Kind", "Demonstrations or samples"), rows)


def _left_out(manifest: BenchManifest) -> str:
    found = manifest.disjoint
    rows = [(f"demonstration: {_words(why)}", f"{n:,}") for why, n in found["left_out"]["demonstrations"].items()]
    rows += [(f"question: {_words(why)}", f"{n:,}") for why, n in found["left_out"]["questions"].items()]
    title = f"## Left out before the benchmark was made, of {found['demonstrations']:,} demonstrations\n\n"
    return title + _table(("Reason", "Count"), rows or [("nothing", "0")])


def _shared(manifest: BenchManifest) -> str:
    found = manifest.disjoint
    made = f", {found['composed']:,} of them composed of cut-outs and compared by bytes alone" if found["composed"] else ""
    title = f"## Shared by the finished benchmark ({found['pictures']:,} pictures{made}; {found['concepts']:,} concepts)\n\n"
    return title + _table(("What", "Shared with training"), [(_words(what), str(n)) for what, n in found["shared"].items()])


def _near(manifest: BenchManifest) -> str:
    found = manifest.disjoint
    rows = [(bits, f"{n:,}") for bits, n in found["nearest_bits"].items()]
    text = (
        f"The nearest training picture is {found['smallest_distance']} of 64 perceptual-hash bits away. Pictures by distance:"
    )
    return f"## How near its pictures come\n\n{text}\n\n" + _table(("Bits", "Pictures"), rows or [("none within 12", "0")])


def _words(name: str) -> str:
    return name.replace("_", " ")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)]) + "\n"
