"""Tiny models of every family that the trainer promises, each with a batch of two short conversations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.train.tiny_models import tiny_model
from tests.train.tiny_processors import tiny_processor

FAMILIES = ("vicuna", "next", "onevision", "qwen", "qwen25", "idefics", "smolvlm")
SAID = (("What is this called?", "a bovine"), ("Which one is right for this picture?", "houses"))


@dataclass
class Family:
    model: Any
    processor: Any

    def batch(self) -> dict[str, Any]:
        """Both conversations with their labels."""
        inputs = self._inputs([self._messages(*said) for said in SAID], padding=True)
        words = inputs["attention_mask"].bool() & (inputs["input_ids"] != self.processor.image_token_id)
        return {**inputs, "labels": inputs["input_ids"].where(words, -100)}

    def question(self) -> dict[str, Any]:
        """The first question alone, to be answered."""
        return self._inputs([self._messages(SAID[0][0])], add_generation_prompt=True)

    def _messages(self, question: str, answer: str = "") -> list[dict[str, Any]]:
        asked = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
        said = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
        return [asked, said] if answer else [asked]

    def _inputs(self, messages: list[Any], padding: bool = False, **more: Any) -> dict[str, Any]:
        texts = [self.processor.apply_chat_template(turns, tokenize=False, **more) for turns in messages]
        pictures = [[picture(number)] for number in range(len(texts))]
        return dict(self.processor(text=texts, images=pictures, return_tensors="pt", padding=padding))


def family(name: str) -> Family:
    """The model and processor of a family, always the same ones."""
    processor = tiny_processor(name)
    return Family(tiny_model(name, processor), processor)


def picture(number: int) -> Image.Image:
    """A picture of a few coloured blocks."""
    blocks = np.random.default_rng(number).integers(0, 255, (4, 4, 3), np.uint8)
    return Image.fromarray(blocks).resize((32, 32))


def trained(model: Any, batch: dict[str, Any], steps: int, lr: float = 3e-3, autocast: bool = False) -> list[float]:
    """Losses of some AdamW steps on one batch."""
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr)
    losses = []
    for _ in range(steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(**batch, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses
