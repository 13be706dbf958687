"""What fused demonstrations (AIM) cost beside whole ones: tokens of a prompt, time to the first token, memory.

    python benchmarks/bench_aim.py [--tokens 49 | 576] [--shots 1,2,4,8,16,32] [--repeats 3] [--aim pool=8 ...]

49      the embedded model with a grid of 7 x 7 tokens a picture
576     a random tower of 24 x 24 tokens (336 pixels, patches of 14; 4 layers of 256) before the embedded language model;
        weights do not matter for what it costs

full    all demonstrations with their pictures in the prompt
cold    fused, nothing of them known: each is read before the first token
warm    fused, their states in a bank
fixed   fused, another question had the same demonstrations: their keys and values are kept (`prefixes`, `curate predict`)

Every question has a query that no other has, and but for `fixed` demonstrations too, so that nothing else is remembered.
Memory is the growth of the process's peak over what it held before the question.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from common import say_machine

from curate.settings import build, with_overrides
from pipelines.wheels import Wheels
from train.config import ComputeSettings
from train.data.rendering import Renderer, RenderSettings
from train.evaluate.costs import first_token
from train.evaluate.proving import noise
from train.evaluate.reader import ReaderSettings, VlmReader
from train.evaluate.records import Ask, Turn
from train.model.aim import AimSettings
from train.model.aim.loading import attach
from train.model.assemble import AssembleSettings, assemble
from train.model.loading import load_model

SIZE = {49: 224, 576: 336}
WORDS = ("dax", "wug", "toma", "fendle", "mipo", "zorvic", "plun", "blicket")


def made(tokens: int, folder: Path) -> Path:
    """The model's folder."""
    out = folder / "model"
    if tokens == 49:
        assemble("embedded", "embedded", out, AssembleSettings(grid=7), Wheels(lambda message: None))
        return out
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    layers = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 5, "num_attention_heads": 4}
    CLIPVisionModel(CLIPVisionConfig(**layers, image_size=336, patch_size=14)).save_pretrained(folder / "tower")
    CLIPImageProcessor(size={"shortest_edge": 336}, crop_size=336).save_pretrained(folder / "tower")
    assemble(str(folder / "tower"), "embedded", out, AssembleSettings(), Wheels(lambda message: None))
    return out


def question(number: int, shots: int, size: int, query: int = 0) -> Ask:
    """A question that shares nothing with another number's, and with another query's its demonstrations."""

    def turn(at: int, answer: str) -> Turn:
        return Turn((noise(number * 1000 + at, size, size),), "What is this called?", answer)

    return Ask(str(number), tuple(turn(at, WORDS[at % len(WORDS)]) for at in range(shots)), turn(shots + query, ""))


def reader(place: Path, aim: AimSettings | None, bank: str | None = None, prefixes: int = 0) -> VlmReader:
    """Of the model as it is, or with an untrained projection: what it says is of no interest here."""
    model = load_model(str(place), ComputeSettings(attention="sdpa"))
    if aim is not None:
        attach(model, aim)
    renderer = Renderer.load(place, RenderSettings(loss="last", max_tokens=65536))
    settings = ReaderSettings(cache_mb=0, max_tokens=65536, bank=bank, prefixes=prefixes, dtype="bfloat16")
    return VlmReader(model, renderer, settings)


def measured(
    make: Callable[[int, int], Ask], one: VlmReader, repeats: int, first: int, known: int | None
) -> tuple[float, float]:
    """Medians of seconds and MiB over questions; of each the query `known` was asked before."""
    found = []
    for number in range(first, first + repeats):
        if known is not None:
            one.generate([make(number, known)], 1)
        found.append(first_token(one, make(number, 0)))
    return statistics.median(seconds for seconds, _ in found), statistics.median(held or 0.0 for _, held in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, choices=SIZE, default=49, help="of a picture")
    parser.add_argument("--shots", default="1,2,4,8,16,32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--aim", nargs="*", default=[], help="settings of AIM, such as pool=8 verbatim=none")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    say_machine("torch", "transformers")
    print(f"{torch.get_num_threads()} threads, {arguments.tokens} tokens a picture, medians of {arguments.repeats}\n")
    aim = build(AimSettings, with_overrides({}, arguments.aim))
    print(f"AIM: {aim.model_dump(exclude_unset=True) or 'as it is by default'}\n")
    with tempfile.TemporaryDirectory() as folder:
        place = made(arguments.tokens, Path(folder))
        whole, cold = reader(place, None), reader(place, aim)
        bank = str(Path(folder) / "bank")
        warm, fixed = reader(place, aim, bank), reader(place, aim, bank, 1)
        known = {whole: None, cold: None, warm: 0, fixed: 1}
        print(f"{'':6}{'prompt tokens':^22}{'ms to the first token':^42}{'peak MiB':^42}")
        print(f"{'shots':6}{'full':>8}{'fused':>7}{'ratio':>7}" + 2 * f"{'full':>12}{'cold':>10}{'warm':>10}{'fixed':>10}")
        for at, shots in enumerate(map(int, arguments.shots.split(","))):

            def make(number: int, query: int, shots: int = shots) -> Ask:
                return question(number, shots, SIZE[arguments.tokens], query)

            lengths = [one.prompt_tokens([make(0, 0)])[0] for one in (whole, cold)]
            rows = [measured(make, one, arguments.repeats, 1 + at * 100, query) for one, query in known.items()]
            times = "".join(f"{1e3 * seconds:{12 if not n else 10}.0f}" for n, (seconds, _) in enumerate(rows))
            held = "".join(f"{mib:{12 if not n else 10}.0f}" for n, (_, mib) in enumerate(rows))
            print(f"{shots:<6}{lengths[0]:8}{lengths[1]:7}{lengths[0] / lengths[1]:7.1f}{times}{held}", flush=True)


if __name__ == "__main__":
    main()
