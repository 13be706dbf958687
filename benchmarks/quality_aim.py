"""What fused demonstrations (AIM) keep of what whole ones bring: accuracies beside each other.

    python benchmarks/quality_aim.py EVALUATIONS [--whole coherent --fused aim] [--seeds 0,1,2] [--shots 1,2] [--benches ...]
    python benchmarks/quality_aim.py EVALUATIONS --fused aim-base,aim-layer-8,... --benches dev-concepts,dev-siblings --seeds 0

With several names, a row each. EVALUATIONS/READER-SEED are folders of `curate evaluate`, as `recipes/aim` makes them.
Kept: (fused - text) / (whole - text), the share of what pictures in demonstrations bring beyond their words. Intervals:
95 %, over seeds and questions.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from curate.evaluations import Evaluation
from curate.statistics import Interval, by_group, over_seeds

Table = dict[str, float]
CONDITIONS = ("none", "text", "whole", "fused", "swapped")
"""The last one: fused, with pictures of unrelated concepts."""


def answers(place: Path, bench: str, condition: str, shots: int) -> Table:
    found = Evaluation.open(place).answers(bench, condition, 0 if condition == "none" else shots)
    return by_group([one.right for one in found], [one.group for one in found]) if found else {}


def tables(places: Sequence[Path], bench: str, condition: str, shots: int, groups: set[str] | None = None) -> list[Table]:
    found = [answers(place, bench, condition, shots) for place in places]
    return [{group: value for group, value in table.items() if groups is None or group in groups} for table in found]


def interval(found: Interval, sign: str = "") -> str:
    return f"{100 * found.mean:{sign}.1f} [{100 * found.low:{sign}.1f}, {100 * found.high:{sign}.1f}]"


def minus(one: list[Table], other: list[Table]) -> list[Table]:
    return [{group: mine[group] - its[group] for group in mine} for mine, its in zip(one, other, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluations", type=Path)
    parser.add_argument("--whole", default="coherent", help="the reader with whole demonstrations")
    parser.add_argument("--fused", default="aim", help="the same with fused ones")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--shots", default="1,2")
    parser.add_argument("--benches", default="", help="all that the first has, by default")
    parser.add_argument("--by-shots", action="store_true", help="a row each number of shots")
    told = parser.parse_args()
    seeds, names = told.seeds.split(","), told.fused.split(",")
    whole, *fused = ([told.evaluations / f"{name}-{seed}" for seed in seeds] for name in (told.whole, *names))
    benches = told.benches.split(",") if told.benches else sorted({row.bench for row in Evaluation.open(fused[0][0]).rows})
    lines = [(bench, shots) for bench in benches for shots in map(int, told.shots.split(","))]
    if len(names) > 1:
        several(names, whole, fused, lines)
    else:
        one(whole, fused[0], lines, told.by_shots)


def one(whole: Sequence[Path], fused: Sequence[Path], lines: Sequence[tuple[str, int]], by_shots: bool) -> None:
    """A row each benchmark: the mean over its shots, or, `by_shots`, each number of shots for itself."""
    head = ("benchmark", "shots", *CONDITIONS, "fused - text", "fused - swapped", "fused - whole", "kept")
    print(f"| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}")
    cells = {(bench, shots): found for bench, shots in lines if (found := asked(whole, fused, bench, shots))}
    rows = [[key] for key in cells] if by_shots else [[key for key in cells if key[0] == bench] for bench, _ in lines]
    for keys in [row for at, row in enumerate(rows) if row and row not in rows[:at]]:
        line(keys[0][0], ", ".join(str(shots) for _, shots in keys), [cells[key] for key in keys])
    line("**all**", "", list(cells.values()))


def asked(whole: Sequence[Path], fused: Sequence[Path], bench: str, shots: int) -> dict[str, list[Table]]:
    """Tables by condition, on the questions that fused demonstrations were asked; {} where there are none."""
    own = tables(fused, bench, "full", shots)
    if not all(own):
        return {}
    groups = set(own[0])
    return {
        "none": tables(whole, bench, "none", shots, groups), "text": tables(whole, bench, "text", shots, groups),
        "whole": tables(whole, bench, "full", shots, groups), "fused": own,
        "swapped": tables(fused, bench, "swapped", shots, groups),
    }  # fmt: skip


def several(
    names: Sequence[str], whole: Sequence[Path], fused: Sequence[Sequence[Path]], lines: Sequence[tuple[str, int]]
) -> None:
    """A row each name: accuracies, and what is kept over all."""
    print(
        f"| | {' | '.join(f'{bench}, {shots}' for bench, shots in lines)} | mean | kept |\n|---|{'---:|' * (len(lines) + 2)}"
    )
    sums = {}
    rows = [
        ("text alone", whole, "text"),
        ("whole", whole, "full"),
        *((n, f, "full") for n, f in zip(names, fused, strict=True)),
    ]
    for name, places, condition in rows:
        means = [over_seeds([tables(places, bench, condition, shots)]).mean for bench, shots in lines]
        sums[name] = sum(means) / len(means)
        kept = (sums[name] - sums["text alone"]) / (sums.get("whole", 1) - sums["text alone"])
        cells = [*(f"{100 * mean:.1f}" for mean in (*means, sums[name])), f"{100 * kept:.0f} %" if name in names else ""]
        print(f"| {' | '.join([name, *cells])} |", flush=True)


def line(bench: str, shots: str, cells: Sequence[dict[str, list[Table]]]) -> None:
    """A row of what was found in so many cells."""
    found = {name: [cell[name] for cell in cells] for name in CONDITIONS}
    means = {name: over_seeds(each) for name, each in found.items() if all(map(all, each))}
    apart = [over_seeds([minus(cell["fused"], cell[name]) for cell in cells]) for name in ("text", "swapped", "whole")]
    brought = means["whole"].mean - means["text"].mean
    kept = f"{100 * (means['fused'].mean - means['text'].mean) / brought:.0f} %" if brought > 0 else ""
    shown = [*(interval(means[name]) if name in means else "" for name in CONDITIONS), *(interval(gap, "+") for gap in apart)]
    print(f"| {' | '.join([bench, shots, *shown, kept])} |", flush=True)


if __name__ == "__main__":
    main()
