"""What fused demonstrations (AIM) owe to the projection: the same prompt with nothing read and nothing learned.

    python benchmarks/control_aim.py MODEL BENCH... --out FOLDER [--shots 1,2] [--limit 40]

Every question word of a demonstration becomes itself plus the mean of what is seen in the picture, at word size: as
long a prompt as AIM's, in the same turns, with the picture told directly and not as the frozen model understood it. `all`: the
answer's words too. `picture`: question words become the picture alone, the value that the ridge aims at.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import train.evaluate.fused as fused
from curate.benches import Bench
from train.checkpoint import weights_of
from train.config import ComputeSettings
from train.data.rendering import Renderer, RenderSettings
from train.evaluate.aggregating import ModelAggregator
from train.evaluate.cells import EvaluateSettings
from train.evaluate.evaluating import evaluate
from train.evaluate.reader import ReaderSettings, VlmReader
from train.evaluate.records import Turn
from train.model.aim import AimSettings
from train.model.aim.loading import attach
from train.model.aim.projection import unit_size
from train.model.aim.settings import ANSWER, QUESTION
from train.model.loading import load_model


class Shown(ModelAggregator):
    """Gives for every word the mean of what is seen in its demonstration's pictures."""

    def aggregate(self, turns: Sequence[Turn]) -> list[Tensor | None]:
        seen = self._sight.of(picture for turn in turns for picture in turn.pictures)
        return [self._shown(turn, seen) for turn in turns]

    def _shown(self, turn: Turn, seen: Any) -> Tensor:
        features = torch.cat([seen[one.ref].features for one in turn.pictures]).float()
        return features.mean(0).expand(len(self.kept(turn)[0]), -1)


def control(kind: str) -> Any:
    """What stands in place of `virtual_tokens`."""

    def tokens(backbone: Any, projection: Any, states: Tensor, words: Tensor, kinds: Tensor, groups: Tensor) -> Tensor:
        own, shown = backbone.table(words).float(), states.flatten(1)
        made = shown if kind == "picture" else unit_size(own) + unit_size(shown)
        changed = (kinds == QUESTION) | ((kinds == ANSWER) & (kind == "all"))
        return torch.where(changed[:, None], unit_size(made) * projection.size, own)

    return tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("benches", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shots", default="1,2")
    parser.add_argument("--limit", type=int, default=40)
    told = parser.parse_args()
    fused.ModelAggregator = Shown
    settings = EvaluateSettings(shots=tuple(map(int, told.shots.split(","))), conditions=("full",), limit=told.limit)
    renderer = Renderer.load(weights_of(told.model).base, RenderSettings(max_tokens=8192, loss="last"))
    for kind in ("words", "all", "picture"):
        fused.virtual_tokens = control(kind)
        model = load_model(told.model, ComputeSettings(attention="sdpa"))
        attach(model, AimSettings(layers=(0,), init="identity"))
        reader = VlmReader(model, renderer, ReaderSettings(dtype="bfloat16", device="cpu"), kind)
        done = evaluate(reader, [Bench.open(bench) for bench in told.benches], str(told.out / kind), settings)
        print(kind, {f"{row.bench}/{row.shots}": round(100 * row.score, 1) for row in done.rows}, flush=True)


if __name__ == "__main__":
    main()
