"""Tokens a second, MFU and memory of training steps of 7B layouts on one GPU, by our own sharding and step.

    python benchmarks/gpu_train.py [--models llava-1.5-7b qwen2-vl-7b] [--rows 4096 8192] [--out gpu_train.json]
    python benchmarks/gpu_train.py --tiny        # the same code on two cores with tiny models: only that it runs

Models have random weights in the layouts of LLaVA-1.5-7B and Qwen2-VL-7B: built on the meta device, prepared as the icl
stage has it (tower frozen in bfloat16; projector and language model with float32 masters), sharded by FSDP2 (shard:
always, so bfloat16 copies are made block by block) and filled on the GPU. Rows hold 2-shot episodes packed to 4,096
and 8,192 positions, with pictures of usual sizes. Every line of the table is a process of its own: one that runs out
of memory is told and ends nothing else. The first step, with what torch.compile does in it, is told apart.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import say_machine

from curate.settings import build
from train.config import TrainConfig
from train.data.positions import mrope_positions, plain_positions
from train.data.records import Batch, Rendered, Segment
from train.data.sheets import Laid, Sheets
from train.loss import Targets, token_losses
from train.metrics import Flops, peak_flops
from train.model.loading import use_attention
from train.model.parts import parts_of
from train.model.tuning import groups, prepare
from train.optimizer import adamw
from train.parallel.ranks import Ranks, started
from train.parallel.sharding import autocast, clip, distribute

SIZES = ((640, 480), (480, 640), (640, 427), (500, 375), (427, 640))
"""Pictures' widths and heights, as they are common in COCO."""

QUESTION, ANSWER = 24, 8
"""Words of a turn, in tokens."""

WARM, TIMED = 3, 8
"""Steps before the clock starts, the first one apart, and steps that are timed."""


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    model: str
    row: int  # positions
    recompute: str
    compile: bool
    attention: str
    tiny: bool


# ---- models ---------------------------------------------------------------------------------------------------------


def llava(tiny: bool) -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    text: dict[str, Any] = {"vocab_size": 32064, "max_position_embeddings": 8192}
    vision: dict[str, Any] = {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "image_size": 336, "patch_size": 14, "projection_dim": 768,
    }  # fmt: skip
    if tiny:
        text |= {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
        vision |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        vision |= {"image_size": 56}
    tokens = (vision["image_size"] // vision["patch_size"]) ** 2
    return LlavaConfig(
        vision_config=CLIPVisionConfig(**vision),
        text_config=LlamaConfig(**text),
        image_token_index=32000,
        image_seq_length=tokens,
    )


def qwen(tiny: bool) -> Any:
    from transformers import Qwen2VLConfig

    text: dict[str, Any] = {
        "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "max_position_embeddings": 32768, "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
    }  # fmt: skip
    vision: dict[str, Any] = {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "num_heads": 16, "mlp_ratio": 4}
    if tiny:
        text |= {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
        text |= {"num_key_value_heads": 2, "rope_parameters": text["rope_parameters"] | {"mrope_section": [2, 3, 3]}}
        vision = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2}
    return Qwen2VLConfig(
        text_config=text, vision_config=vision | {"patch_size": 14}, image_token_id=151655, video_token_id=151656
    )


MODELS = {"llava-1.5-7b": llava, "qwen2-vl-7b": qwen}


def empty(line: Line) -> Any:
    """Parameters on the meta device, buffers (angles of rotations, positions) with their numbers."""
    from accelerate import init_empty_weights
    from transformers import AutoModelForImageTextToText

    with init_empty_weights(include_buffers=False):
        model = AutoModelForImageTextToText.from_config(MODELS[line.model](line.tiny), attn_implementation="sdpa")
    use_attention(model, line.attention)
    return model


def fill(model: torch.nn.Module, device: torch.device) -> None:
    """Random numbers of a usual size in place of the meta parameters."""
    buffers = {name: buffer.to(device) for name, buffer in model.named_buffers()}
    model.to_empty(device=device)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.02)
            else:
                parameter.fill_(float(name.endswith("weight")))
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])


# ---- rows -----------------------------------------------------------------------------------------------------------


def batch_of(line: Line, config: Any, dice: np.random.Generator) -> Batch:
    """One row of 2-shot episodes, as many as fit, in the format of the loader's batches."""
    grids, laid, start = [], [], 0
    while True:
        own = [grid_of(line, SIZES[dice.integers(len(SIZES))]) for _ in range(3)]
        episode = rendered(config, [grid_tokens(config, grid) for grid in own], dice)
        stop = start + len(episode.input_ids)
        if stop > line.row:
            break
        laid.append(Laid(Segment(0, start, stop, len(laid)), episode, positions(config, episode, own)))
        grids, start = grids + own, stop
    threefold = grid_wise(config)
    sheets = Sheets(1, line.row, 0, threefold)
    for one in laid:
        sheets.write(one)
    inputs = {"input_ids": torch.from_numpy(sheets.input_ids), "position_ids": torch.from_numpy(sheets.positions)}
    if threefold:
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == config.image_token_id).long()
        patch = config.vision_config.patch_size
        inputs["pixel_values"] = torch.randn(int(np.prod(grids, axis=1).sum()), 3 * 2 * patch * patch)
        inputs["image_grid_thw"] = torch.tensor(grids)
    else:
        side = config.vision_config.image_size
        inputs["pixel_values"] = torch.randn(len(grids), 3, side, side)
    planes = [torch.from_numpy(plane) for plane in (sheets.labels, sheets.weights, sheets.answers, sheets.segments)]
    return Batch(inputs, *planes, contents=tuple(one.segment for one in laid))


def grid_wise(config: Any) -> bool:
    return hasattr(config.vision_config, "spatial_merge_size")


def grid_of(line: Line, size: tuple[int, int]) -> tuple[int, int, int]:
    """Patches of a picture in time, height and width: even numbers, since 2 x 2 of 14 pixels make a token."""
    width, height = (side // (8 if line.tiny else 1) for side in size)
    return 1, 2 * round(height / 28), 2 * round(width / 28)


def grid_tokens(config: Any, grid: tuple[int, int, int]) -> int:
    return int(np.prod(grid)) // 4 if grid_wise(config) else int(config.image_seq_length)


def rendered(config: Any, pictures: list[int], dice: np.random.Generator) -> Rendered:
    """Turns of a picture, a question and an answer; the answers are learned."""
    image = getattr(config, "image_token_id", None) or config.image_token_index
    ids, answers = [], []
    for turn, tokens in enumerate(pictures):
        ids += [image] * tokens + dice.integers(10, 30_000, QUESTION + ANSWER).tolist()
        answers += [-1] * (tokens + QUESTION) + [turn] * ANSWER
    told = np.array(answers, np.int16)
    return Rendered(np.array(ids), (told >= 0).astype(np.float32), told, (0, 1, 2), sum(pictures), (0, 1))


def positions(config: Any, episode: Rendered, grids: list[tuple[int, int, int]]) -> Any:
    if not grid_wise(config):
        return plain_positions(len(episode.input_ids))
    return mrope_positions(episode.input_ids == config.image_token_id, np.array(grids), merge=2)


# ---- a line of the table --------------------------------------------------------------------------------------------


def measured(line: Line) -> dict[str, Any]:
    """What a line says; {"oom": ...} when the memory did not do."""
    given: dict[str, Any] = {
        "model": line.model, "out": "nowhere", "parallel": {"shard": "always"}, "optimizer": {"lr": 1e-6},
        "compute": {"recompute": line.recompute, "compile": line.compile, "attention": line.attention,
                    "device": "cpu" if line.tiny else "auto"},
    }  # fmt: skip
    given["data"] = {"plan": "nowhere", "max_tokens": line.row}
    config = build(TrainConfig, given, "the benchmark")
    with started(config.parallel, config.compute) as ranks:
        try:
            return timed(line, config, ranks)
        except torch.OutOfMemoryError as error:
            return {"oom": " ".join(str(error).split())[:200]}


def timed(line: Line, config: TrainConfig, ranks: Ranks) -> dict[str, Any]:
    model = empty(line)
    parts = parts_of(model)
    model = prepare(model, parts, config)
    flops = Flops.of(model, parts)
    distribute(model, parts, config.compute, config.parallel, ranks)
    fill(model, ranks.device)
    optimizer = adamw(groups(model, parts, config), config.optimizer)
    dice = np.random.default_rng(ranks.rank)
    batches = [batch_of(line, model.config, dice) for _ in range(4)]
    counted = [(int((b.segments > 0).sum()), int((b.weights > 0).sum()), float(flops(b))) for b in batches]
    steps = _steps(model, optimizer, config, ranks, batches)
    first = next(steps)
    for _ in range(WARM - 1):
        next(steps)
    seconds = [next(steps) for _ in range(2 if line.tiny else TIMED)]
    place = [(WARM + step) % len(batches) for step in range(len(seconds))]
    real, supervised, asked = (sum(counted[at][column] for at in place) for column in range(3))
    whole = sum(seconds)
    device = ranks.device
    return {
        "parameters": sum(p.numel() for p in model.parameters()), "first_step_s": first, "step_s": whole / len(seconds),
        "tokens_per_s": line.row * len(seconds) / whole, "real_tokens_per_s": real / whole,
        "supervised_tokens_per_s": supervised / whole, "pictures_per_row": len(batches[0].contents) * 3,
        "mfu": asked / whole / peak_flops(device, config.compute.dtype),
        "peak_gib": torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None,
    }  # fmt: skip


def _steps(
    model: Any, optimizer: torch.optim.Optimizer, config: TrainConfig, ranks: Ranks, batches: list[Batch]
) -> Iterator[float]:
    """Seconds of one step after another, as train/loop.py takes them: one micro-batch, loss, backward, clip, AdamW."""
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    step = 0
    while True:
        _wait(ranks.device)
        began = time.perf_counter()
        batch = batches[step % len(batches)]
        targets = Targets.of(batch)
        whole = float(ranks.sum(targets.weights.sum(dtype=torch.float64)))
        there = batch.map(lambda tensor: tensor.to(ranks.device, non_blocking=True))
        own = targets.to(ranks.device)
        losses = token_losses(model, there, own, True, autocast(config.compute, ranks))
        ((losses * own.weights).sum() / whole).backward()
        norm = clip(trained, config.optimizer.clip)
        assert torch.isfinite(norm), "random weights have a finite gradient"
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        _wait(ranks.device)
        yield time.perf_counter() - began
        step += 1


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# ---- the table ------------------------------------------------------------------------------------------------------


def in_own_process(line: Line) -> dict[str, Any]:
    command = [sys.executable, __file__, "--line", json.dumps(asdict(line))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stdout.strip().rpartition("\n")[2]
    if done.returncode == 0 and last.startswith("{"):
        return json.loads(last)
    return {"failed": (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1][:300]}


def shown(line: Line, found: dict[str, Any]) -> str:
    head = f"{line.model:14}{line.row:>7}{line.recompute:>11}{'yes' if line.compile else 'no':>9}"
    if "oom" in found or "failed" in found:
        return head + ("   out of memory" if "oom" in found else f"   {found['failed']}")
    numbers = [f"{found['real_tokens_per_s']:>13,.0f}", f"{found['tokens_per_s']:>12,.0f}", f"{found['mfu']:>8.1%}"]
    memory = f"{found['peak_gib']:>10.1f}" if found["peak_gib"] is not None else f"{'-':>10}"
    return head + "".join([*numbers, f"{found['step_s']:>9.3f}", memory, f"{found['first_step_s']:>12.1f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rows", nargs="+", type=int, default=[4096, 8192])
    parser.add_argument("--recompute", nargs="+", choices=("none", "selective", "full"), default=["full", "selective"])
    parser.add_argument("--compile", nargs="+", choices=("no", "yes"), default=["no", "yes"])
    parser.add_argument("--attention", choices=("sdpa", "flex_attention"), default="sdpa")
    parser.add_argument("--out", type=Path, default=Path("gpu_train.json"))
    parser.add_argument("--tiny", action="store_true", help="tiny models and rows on the CPU")
    parser.add_argument("--line", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.line:
        print(json.dumps(measured(Line(**json.loads(given.line)))))
        return
    if not given.tiny and not torch.cuda.is_available():
        sys.exit("torch sees no GPU here; --tiny shows that the code runs")
    say_machine("torch", "transformers")
    device = "CPU" if given.tiny else torch.cuda.get_device_name()
    print(f"{device}; 2-shot episodes, one row a step\n")
    print(f"{'model':14}{'row':>7}{'recompute':>11}{'compile':>9}{'real tok/s':>13}{'all tok/s':>12}{'MFU':>8}{'step s':>9}"
          f"{'peak GiB':>10}{'1st step s':>12}")  # fmt: skip
    lines = [Line(model, row, how, on == "yes", given.attention, given.tiny) for model in given.models for row in given.rows
             for how in given.recompute for on in given.compile]  # fmt: skip
    results = []
    for line in lines:
        line = replace(line, row=line.row // 16) if given.tiny else line
        found = in_own_process(line)
        print(shown(line, found), flush=True)
        results.append(asdict(line) | found)
        given.out.write_text(json.dumps({"device": device, "torch": torch.__version__, "lines": results}, indent=2))


if __name__ == "__main__":
    main()
