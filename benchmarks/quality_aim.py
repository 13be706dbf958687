"""What fused demonstrations (AIM) keep of what whole ones bring: accuracies beside each other.

    python benchmarks/quality_aim.py EVALUATIONS [--whole coherent --fused aim] [--seeds 0,1,2] [--shots 1,2]

EVALUATIONS/READER-SEED are folders of `curate evaluate`, as `recipes/aim` makes them. Kept: (fused - text) / (whole - text),
the share of what pictures in demonstrations bring beyond their words. Intervals: 95 %, over seeds and questions.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from curate.evaluations import Evaluation
from curate.statistics import Interval, by_group, over_seeds

Table = dict[str, float]


def answers(place: Path, bench: str, condition: str, shots: int) -> Table:
    found = Evaluation.open(place).answers(bench, condition, 0 if condition == "none" else shots)
    return by_group([one.right for one in found], [one.group for one in found])


def tables(places: Sequence[Path], bench: str, condition: str, shots: int, groups: set[str] | None = None) -> list[Table]:
    found = [answers(place, bench, condition, shots) for place in places]
    return [{group: value for group, value in table.items() if groups is None or group in groups} for table in found]


def shown(interval: Interval, sign: str = "") -> str:
    return f"{100 * interval.mean:{sign}.1f} [{100 * interval.low:{sign}.1f}, {100 * interval.high:{sign}.1f}]"


def minus(one: list[Table], other: list[Table]) -> list[Table]:
    return [{group: mine[group] - its[group] for group in mine} for mine, its in zip(one, other, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluations", type=Path)
    parser.add_argument("--whole", default="coherent", help="the reader with whole demonstrations")
    parser.add_argument("--fused", default="aim", help="the same with fused ones")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--shots", default="1,2")
    told = parser.parse_args()
    seeds = told.seeds.split(",")
    whole, fused = ([told.evaluations / f"{name}-{seed}" for seed in seeds] for name in (told.whole, told.fused))
    benches = sorted({row.bench for row in Evaluation.open(fused[0]).rows})
    head = ("benchmark", "shots", "none", "text", "whole", "fused", "fused, pictures swapped", "fused - text", "kept")
    print(f"| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}")
    every: dict[str, list[list[Table]]] = {name: [] for name in ("none", "text", "whole", "fused", "swapped")}
    for bench in benches:
        for shots in map(int, told.shots.split(",")):
            own = tables(fused, bench, "full", shots)
            groups = set(own[0])
            found = {
                "none": tables(whole, bench, "none", shots), "text": tables(whole, bench, "text", shots, groups),
                "whole": tables(whole, bench, "full", shots, groups), "fused": own,
                "swapped": tables(fused, bench, "swapped", shots, groups),
            }  # fmt: skip
            line(bench, str(shots), {name: [table] for name, table in found.items()})
            for name, table in found.items():
                every[name].append(table)
    line("**all**", "", every)


def line(bench: str, shots: str, found: dict[str, list[list[Table]]]) -> None:
    """A row: `found` has the tables of each benchmark by condition."""
    means = {name: over_seeds(each) for name, each in found.items()}
    apart = over_seeds([minus(one, other) for one, other in zip(found["fused"], found["text"], strict=True)])
    brought = means["whole"].mean - means["text"].mean
    kept = f"{100 * (means['fused'].mean - means['text'].mean) / brought:.0f} %" if brought > 0 else ""
    cells = [shown(means[name]) for name in ("none", "text", "whole", "fused", "swapped")]
    print(f"| {' | '.join([bench, shots, *cells, shown(apart, '+'), kept])} |", flush=True)


if __name__ == "__main__":
    main()
