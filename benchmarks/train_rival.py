"""transformers.Trainer as one usually sets it up: a collator that lets the processor pad, the same model, data and optimiser.

Pictures are decoded and labels found before the clock starts; conversations are templated, tokenised and padded
and pictures processed by the collator, in one worker process.
"""

import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow
from transformers import AutoProcessor, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from curate.images import open_rgb
from curate.shards.plans import Plan
from train.config import TrainConfig
from train.data.reading import SampleReader
from train.data.records import Fault
from train.data.rendering import Renderer
from train.model.loading import load_model

IGNORED = -100


class Rival:
    """Goes through the samples of a plan."""

    def __init__(self, model: str, plan: Plan, config: TrainConfig, micro: int, lots: int, folder: Path) -> None:
        self.processor = AutoProcessor.from_pretrained(model)
        self.processor.tokenizer.padding_side = "right"
        self.samples = ready(plan, Renderer.load(model, config.data.render))
        self.model = load_model(model, config.compute).train()
        self.model.model.vision_tower.requires_grad_(False).eval()
        self.given: dict[str, Any] = {
            "output_dir": str(folder / "rival"), "per_device_train_batch_size": micro, "gradient_accumulation_steps": lots,
            "learning_rate": config.optimizer.lr, "lr_scheduler_type": "constant", "optim": "adamw_torch_fused",
            "adam_beta1": config.optimizer.betas[0], "adam_beta2": config.optimizer.betas[1], "max_grad_norm": 1.0,
            "bf16": True, "use_cpu": True, "remove_unused_columns": False, "save_strategy": "no", "report_to": "none",
            "dataloader_num_workers": 1, "dataloader_prefetch_factor": 4, "logging_steps": 10, "disable_tqdm": True,
            "label_names": ["labels"], "dataloader_pin_memory": False,
        }  # fmt: skip

    def turn(self, seed: int, most: int | None = None) -> Any:
        """Once through all samples, or `most` steps."""
        from bench_train import Timed

        timed = Timed()
        arguments = TrainingArguments(num_train_epochs=1, max_steps=most or -1, seed=seed, **self.given)
        trainer = Counting(model=self.model, args=arguments, train_dataset=self.samples, data_collator=Padded(self.processor))
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Clock(timed, trainer))
        trainer.train()
        return timed


class Counting(Trainer):
    """Counts the tokens that it learns from."""

    learned = 0

    def training_step(self, model: Any, inputs: dict[str, Any], *more: Any) -> torch.Tensor:
        self.learned += int((inputs["labels"] != IGNORED).sum())
        return super().training_step(model, inputs, *more)


class Clock(TrainerCallback):
    """Takes the time from one step's end to the next one's."""

    def __init__(self, timed: Any, trainer: Counting) -> None:
        self.timed, self.trainer = timed, trainer
        self.began, self.learned = 0.0, 0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        now, learned = time.perf_counter(), self.trainer.learned
        self.timed.add(now - self.began, learned - self.learned)
        self.began, self.learned = now, learned


class Padded:
    """The usual collator."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        texts = [self.processor.apply_chat_template(sample["messages"], tokenize=False) for sample in samples]
        images = [sample["images"] for sample in samples]
        batch = dict(self.processor(text=texts, images=images, padding=True, return_tensors="pt"))
        labels = torch.full_like(batch["input_ids"], IGNORED)
        for row, sample in enumerate(samples):
            labels[row, : len(sample["labels"])] = sample["labels"]
        return {**batch, "labels": labels}


def ready(plan: Plan, renderer: Renderer) -> list[dict[str, Any]]:
    """All samples: messages, pictures and the labels that our renderer gives, which are on the answers."""
    numbers = list(range(len(plan)))
    return [sample(loaded.sample, renderer) for loaded in SampleReader(plan).read(numbers) if not isinstance(loaded, Fault)]


def sample(read: Any, renderer: Renderer) -> dict[str, Any]:
    record = read.record
    messages: list[dict[str, Any]] = []
    for shot in [*record["demonstrations"], record["query"]]:
        asked = [{"type": "image"} for _ in shot["images"]] + [{"type": "text", "text": shot["question"]}]
        messages.append({"role": "user", "content": [part for part in asked if part.get("text") != ""]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": shot["answer"]}]})
    rendered = renderer.render(record)
    labels = torch.from_numpy(rendered.input_ids.copy())
    labels[torch.from_numpy(rendered.weights == 0)] = IGNORED
    images: list[Pillow.Image] = [open_rgb(data) for data in read.images]
    return {"messages": messages, "images": images, "labels": labels}
