"""A projector that begins where words lie: pictures beside the words that name them, equal things beside each other.

In-context learning asks a language model to find the demonstration whose picture is like the query's and to copy what
stands behind it. It has done that for words all its life. So the projector is taught, on features that are computed once,

    L = CE(cos(z, t) e^s)  +  SupCon(z)  +  log(rms(v) / rms(E))^2

where v are a picture's visual tokens, z the direction of their mean off the mean word, t that of its name's words, E the
word embeddings; CE is over all names (as CLIP, arXiv 2103.00020), SupCon pulls pictures of one name together (arXiv
2004.11362), and the last term keeps visual tokens as large as words. Minutes of one core, no language model involved.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, dropout, normalize

from curate.errors import InputError
from curate.images import BadImage, open_rgb
from curate.seeding import rng, seed_of
from curate.settings import Settings

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration, LlavaProcessor

LOOK = 32
"""Pictures that go through the tower at a time."""


class ContrastSettings(Settings):
    """How the projector is taught before any training."""

    steps: int = Field(default=200, gt=0)
    """Steps of AdamW."""
    batch: int = Field(default=512, ge=2)
    """Pictures of a step."""
    lr: float = Field(default=1e-3, gt=0)
    """Peak of the learning rate: ten steps of warm-up, then a cosine to 0."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of the tower's features."""
    most: int = Field(default=12_000, gt=0)
    """Pictures at most, a random sample; their features are held in memory."""
    seed: int = 0
    """Of the sample and the steps."""


class Pair(NamedTuple):
    """A picture and the words for what it shows."""

    name: str
    read: Callable[[], bytes]  # the picture's bytes, fetched when they are wanted


@dataclass(frozen=True)
class Taught:
    """What the projector saw, and how well it tells names in the end."""

    pictures: int
    names: int
    rejected: int  # pictures that could not be read
    right: float  # share of the last steps' pictures that lay nearest to their own name
    steps: int


Progress = Callable[[int, int], None]
"""Told how many of how many pictures went through the tower."""


def teach(
    model: "LlavaForConditionalGeneration",
    processor: "LlavaProcessor",
    pairs: Iterable[Pair],
    settings: ContrastSettings,
    progress: Progress = lambda done, total: None,
) -> Taught:
    """Trains the model's projector in place. InputError with fewer than two names among the readable pictures."""
    chosen = sample(list(pairs), settings)
    kept, features = look(model, processor, chosen, progress)
    names = sorted({pair.name for pair in kept})
    if len(names) < 2:
        raise InputError(f"the pairs name {len(names)} thing; a projector needs pictures of at least two")
    place = {name: at for at, name in enumerate(names)}
    labels = torch.tensor([place[pair.name] for pair in kept])
    right = _train(model, features, labels, words(model, processor, names), settings)
    return Taught(len(kept), len(names), len(chosen) - len(kept), round(right, 3), settings.steps)


def sample(pairs: Sequence[Pair], settings: ContrastSettings) -> list[Pair]:
    """At most `most` pairs, those with words, in their own order."""
    named = [pair for pair in pairs if pair.name.strip()]
    if len(named) <= settings.most:
        return named
    dice = rng(settings.seed, "contrast", "sample")
    return [named[at] for at in sorted(dice.choice(len(named), settings.most, replace=False).tolist())]


def look(
    model: "LlavaForConditionalGeneration", processor: "LlavaProcessor", pairs: Sequence[Pair], progress: Progress
) -> tuple[list[Pair], Tensor]:
    """The pairs whose picture can be read, and their features [N, T, D] in half precision."""
    from train.model.assemble import visual_tokens

    kept: list[Pair] = []
    found: list[Tensor] = []
    for start in range(0, len(pairs), LOOK):
        readable = []
        for pair in pairs[start : start + LOOK]:
            try:
                readable.append((pair, open_rgb(pair.read())))
            except BadImage:
                continue
        if readable:
            pixels = processor.image_processor([picture for _, picture in readable], return_tensors="pt")["pixel_values"]
            with torch.no_grad():
                found.append(visual_tokens(model, pixels).half())
            kept += [pair for pair, _ in readable]
        progress(min(start + LOOK, len(pairs)), len(pairs))
    return kept, torch.cat(found) if found else torch.zeros(0)


def words(model: "LlavaForConditionalGeneration", processor: "LlavaProcessor", names: Sequence[str]) -> Tensor:
    """[N, D] unit vectors: the mean of each name's word embeddings, seen from the mean of all words."""
    table = model.get_input_embeddings().weight.detach().float()
    ids = [processor.tokenizer(f" {name}", add_special_tokens=False)["input_ids"] for name in names]
    return normalize(torch.stack([table[row].mean(0) for row in ids]) - table.mean(0), dim=-1)


def _train(
    model: "LlavaForConditionalGeneration", features: Tensor, labels: Tensor, names: Tensor, settings: ContrastSettings
) -> float:
    projector = model.model.multi_modal_projector
    dtype = next(projector.parameters()).dtype
    projector.float()
    table = model.get_input_embeddings().weight.detach().float()
    middle, size = table.mean(0), table.square().mean().sqrt()
    sharpness = torch.nn.Parameter(torch.tensor(2.5))
    optimizer = torch.optim.AdamW([*projector.parameters(), sharpness], lr=settings.lr, weight_decay=0.01)
    dice = torch.Generator().manual_seed(seed_of(settings.seed, "contrast", "steps") % 2**63)
    shares: list[float] = []
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed_of(settings.seed, "contrast", "dropout") % 2**63)
        for step in range(settings.steps):
            optimizer.param_groups[0]["lr"] = settings.lr * pace(step, settings.steps)
            drawn = torch.randint(len(features), (settings.batch,), generator=dice)
            tokens = projector(dropout(features[drawn].float(), settings.dropout))
            pictures = normalize((tokens - middle).mean(1), dim=-1)
            told = pictures @ names.T * sharpness.exp()
            scale = (tokens.square().mean(-1).sqrt() / size).log().square().mean()
            loss = cross_entropy(told, labels[drawn]) + together(pictures, labels[drawn], sharpness.exp()) + scale
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            shares.append(float((told.argmax(1) == labels[drawn]).float().mean()))
    projector.to(dtype)
    last = shares[-10:]
    return sum(last) / len(last)


def together(pictures: Tensor, labels: Tensor, sharpness: Tensor) -> Tensor:
    """Supervised contrastive loss of unit vectors [B, D]: the mean over pictures, and over the others of the same label, of
    -log softmax of their cosine among all others (L_out of arXiv 2004.11362); 0 where no label occurs twice."""
    itself = torch.eye(len(pictures), dtype=torch.bool)
    chances = (pictures @ pictures.T * sharpness).masked_fill(itself, float("-inf")).log_softmax(1).masked_fill(itself, 0.0)
    same = ((labels[:, None] == labels) & ~itself).float()
    partners = same.sum(1)
    if not bool(partners.any()):
        return pictures.new_zeros(())
    return -((chances * same).sum(1)[partners > 0] / partners[partners > 0]).mean()


def pace(step: int, steps: int) -> float:
    """Share of the peak learning rate: ten steps up, a cosine down."""
    return min(1.0, (step + 1) / 10) * 0.5 * (1 + math.cos(math.pi * step / steps))
