"""Run folders without a run: a tiny model as the tuner prepares it, its trained weights stirred, a checkpoint of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from curate.shards.plans import Plan
from tests.train.checkpoint.small_nets import checkpoints
from tests.train.tiny_runs import tiny_config
from train.config import TrainConfig
from train.folder import write_config
from train.metrics import Logbook
from train.model.loading import load_model
from train.model.parts import parts_of
from train.model.tuning import merge_adapters, prepare

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LORA: dict[str, Any] = {
    "parts": [{"match": "language", "train": "lora"}],
    "lora": {"rank": 2, "alpha": 6, "targets": ["q_proj", "down_proj"]},
}


def stirred_run(
    model: Path, plan: Plan, out: Path, steps: tuple[int, ...] = (10,), stage: str = "icl", **more: Any
) -> "tuple[TrainConfig, PreTrainedModel]":
    """A run with checkpoints of `steps`, and the model as it was at the last of them, adapters still on it."""
    config = tiny_config(model, plan, out, stage=stage, **more)
    start = load_model(config.model, config.compute)
    tuned = prepare(start, parts_of(start), config).eval()
    out.mkdir(parents=True)
    write_config(config)
    keeper = checkpoints(out / "checkpoints", best=config.checkpoint.best, keep=9)
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        with torch.no_grad():
            for parameter in tuned.parameters():
                if parameter.requires_grad:
                    parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        progress = {"step": step, "tokens": 1234 * step, "loader": {"plan": plan.digest[:16]}}
        keeper.save(step, tuned, None, progress, {"loss": 1.25, "validation.loss": 1 / step, "step_s": 9.0})
    keeper.wait()
    with Logbook(out, tensorboard=False) as log:
        for step in (5, 10, 15):
            losses = {"shots": {"2": {"loss": 7.5 / step, "tokens": 40}}}
            log.write({"step": step, "kind": "train", "loss": 12.5 / step, "tokens_per_s": {"all": 9.0}})
            log.write({"step": step, "kind": "validation", "loss": 1 / step, "losses": losses})
    return config, tuned


def logits_of(model: Any, processor: Any) -> torch.Tensor:
    """What a model says of a picture and some words."""
    from PIL import Image

    picture = Image.linear_gradient("L").resize((48, 40)).convert("RGB")
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this called?"}]}]
    words = processor.apply_chat_template(turn, add_generation_prompt=True)
    inputs = processor(images=[picture], text=words, return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).logits.float()


def merged(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model with its adapters in the weights."""
    return merge_adapters(model)
