"""The trained part of the offline encoder, and how it becomes the head of an open_clip model.

Pictures: standardised features -> dropout -> UNITS -> GELU -> dropout -> WIDTH. Texts: 384 -> WIDTH without
bias. Loss: InfoNCE in both directions with several positives, softened by how alike the texts are.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from curate.encoders.offline import GAIN, THRESHOLD, UNITS, WIDTH
from curate.encoders.training.classes import Classes, unit
from curate.encoders.training.corpus import Batch, Corpus, joined, made_up_batch, real_batch
from curate.encoders.training.features import Floats
from curate.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor


class Recipe(Settings):
    """How the head is trained."""

    epochs: int = Field(default=30, ge=1)
    batch: int = Field(default=1024, ge=2)
    made_up: float = 0.5
    """Made-up pairs for each real one."""
    keywords: float = 0.2
    """Share of texts that are a keyword instead of a caption."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    dropout: float = 0.3
    soft: float = 0.3
    """Share of the target that goes to other texts of the batch by their likeness."""
    soft_temperature: float = 0.1
    temperature: float = 0.05
    """Where the learned temperature starts."""
    names: float = 0.6
    """Mean length of the class names' part of a picture's vector, that of the trained part being 1."""
    seed: int = 0


@dataclass
class Head:
    """Trainable tensors; leaves of the autograd graph."""

    first: "Tensor"  # [UNITS, 1280]
    first_bias: "Tensor"
    second: "Tensor"  # [WIDTH, UNITS]
    second_bias: "Tensor"
    text: "Tensor"  # [WIDTH, 384]
    scale: "Tensor"  # [], logarithm of the inverse temperature

    def image(self, standardised: "Tensor", dropout: float = 0.0) -> "Tensor":
        """Standardised features [B, 1280] -> [B, WIDTH]."""
        from torch.nn.functional import dropout as drop
        from torch.nn.functional import gelu

        hidden = gelu(drop(standardised, dropout, dropout > 0) @ self.first.T + self.first_bias)
        return drop(hidden, dropout, dropout > 0) @ self.second.T + self.second_bias


def new_head(recipe: Recipe) -> Head:
    """Random weights: uniform by fan-in for pictures, orthogonal for texts."""
    import torch

    torch.manual_seed(recipe.seed)
    first, second = torch.nn.Linear(1280, UNITS), torch.nn.Linear(UNITS, WIDTH)
    text = torch.nn.init.orthogonal_(torch.empty(WIDTH, 384))
    scale = torch.tensor(float(np.log(1 / recipe.temperature)))
    tensors = (first.weight, first.bias, second.weight, second.bias, text, scale)
    return Head(*(tensor.detach().requires_grad_() for tensor in tensors))


def train_head(corpus: Corpus, recipe: Recipe) -> Head:
    """A head fitted to the corpus; equal corpus and recipe give an equal head on one machine and thread count."""
    import torch

    head, dice = new_head(recipe), np.random.default_rng(recipe.seed)
    decayed, free = [head.first, head.second, head.text], [head.first_bias, head.second_bias, head.scale]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    passes = len(corpus.features) // recipe.batch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _warm_cosine(recipe.epochs * passes))
    for _ in range(recipe.epochs):
        order = dice.permutation(len(corpus.features))
        for rows in np.array_split(order[: passes * recipe.batch], passes):
            real = real_batch(corpus, rows, dice, recipe.keywords)
            made_up = made_up_batch(corpus, int(recipe.batch * recipe.made_up), dice)
            optimiser.zero_grad()
            contrastive_loss(head, joined(real, made_up), corpus, recipe).backward()
            optimiser.step()
            schedule.step()
    return head


class _warm_cosine:
    """Learning-rate factor: 30 steps up, then half a cosine down to 0."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def __call__(self, step: int) -> float:
        return float(min(1.0, (step + 1) / 30) * 0.5 * (1 + np.cos(np.pi * step / self._steps)))


def contrastive_loss(head: Head, batch: Batch, corpus: Corpus, recipe: Recipe) -> "Tensor":
    """Cross-entropy of both directions against shared targets (multi-positive InfoNCE)."""
    import torch
    from torch.nn.functional import log_softmax, normalize

    texts = torch.from_numpy(batch.texts)
    pictures = torch.from_numpy(((batch.features - corpus.mean) / corpus.spread).astype(np.float32))
    logits = normalize(head.image(pictures, recipe.dropout), dim=1) @ normalize(texts @ head.text.T, dim=1).T
    logits = logits * head.scale.exp().clamp(max=100.0)
    targets = _targets(batch, texts, recipe)
    both = (targets * log_softmax(logits, 1)).sum(1).mean() + (targets * log_softmax(logits.T, 1)).sum(1).mean()
    return -both / 2


def _targets(batch: Batch, texts: "Tensor", recipe: Recipe) -> "Tensor":
    """[B, B], rows sum to 1: mostly the row's positives, partly whatever text is alike."""
    import torch

    concept, text_id = torch.from_numpy(batch.concept), torch.from_numpy(batch.text_id)
    positive = ((concept[:, None] == concept) | (text_id[:, None] == text_id)).float()
    alike = torch.softmax(texts @ texts.T / recipe.soft_temperature, 1)
    return (1 - recipe.soft) * positive / positive.sum(1, keepdim=True) + recipe.soft * alike


def head_file(head: Head, corpus: Corpus, classes: Classes, recipe: Recipe) -> "dict[str, Tensor]":
    """The tensors that curate.encoders.offline.assembled wants, float16."""
    import torch

    trained = {name: value.detach().numpy() for name, value in vars(head).items()}
    first, first_bias = _unstandardised(trained["first"], trained["first_bias"], corpus)
    names, without_mean = _names_without_mean(classes, corpus)
    lengths = _mean_lengths(head, corpus, classes, names)
    # Only directions count, so a common factor may keep the numbers well inside float16's range.
    own, named = 16 / lengths[0], 16 * recipe.names / lengths[1]
    state = {
        "first.weight": first,
        "first.bias": first_bias,
        "second.weight": own * trained["second"],
        "second.bias": own * trained["second_bias"],
        "names": named * names.T,
        "text": np.concatenate([trained["text"] / lengths[2], recipe.names * without_mean]),
        "logit_scale": trained["scale"],
    }
    return {key: torch.from_numpy(np.asarray(value, np.float16).copy()) for key, value in state.items()}


def _unstandardised(weight: Floats, bias: Floats, corpus: Corpus) -> tuple[Floats, Floats]:
    """The first layer for features as the tower gives them."""
    scaled: Floats = weight / corpus.spread
    return scaled, bias - scaled @ corpus.mean


def _names_without_mean(classes: Classes, corpus: Corpus) -> tuple[Floats, Floats]:
    """Unit class vectors [1000, 384] and the projection [384, 384], both without the direction all texts share."""
    used = sorted({rows[0] for rows in corpus.captions})
    common = unit(corpus.texts[used].mean(0, keepdims=True))[0]
    projection: Floats = np.eye(384, dtype=np.float32) - np.outer(common, common)
    return unit(classes.vectors @ projection), projection


def _mean_lengths(head: Head, corpus: Corpus, classes: Classes, names: Floats) -> tuple[float, float, float]:
    """Mean lengths, over the training set, of trained picture vectors, name vectors, trained text vectors."""
    import torch
    from torch.nn.functional import gelu

    with torch.no_grad():
        trained = head.image(torch.from_numpy((corpus.features - corpus.mean) / corpus.spread)).norm(dim=1).mean()
        logits = torch.from_numpy(corpus.features @ classes.weight.T + classes.bias)
        named = (gelu(GAIN * (logits - THRESHOLD)) @ torch.from_numpy(names)).norm(dim=1).mean()
        text = (torch.from_numpy(corpus.texts) @ head.text.T).norm(dim=1).mean()
    return float(trained), float(named), float(text)
