"""Small questions for readers of tiny models."""

from typing import Any

from tests.train.tiny_models import tiny_model
from tests.train.tiny_processors import tiny_processor
from train.data.rendering import Renderer, RenderSettings
from train.evaluate.proving import noise
from train.evaluate.reader import ReaderSettings, VlmReader
from train.evaluate.records import Ask, Turn

SIZES = ((40, 40), (64, 32), (30, 70), (90, 50), (120, 118))
LETTERS, NAMES = ("A", "B"), ("a bovine", "a building", "bird")


def shot(seed: int, answer: str = "", question: str = "What is this called?", images: int = 1) -> Turn:
    """A turn with pictures of its own."""
    pictures = tuple(noise(seed * 10 + at, *SIZES[(seed + at) % len(SIZES)]) for at in range(images))
    return Turn(pictures, question, answer)


def ask(seed: int, shots: int = 1, choices: tuple[str, ...] = LETTERS, images: int = 1, name: str = "") -> Ask:
    """A question with demonstrations."""
    told = tuple(shot(seed * 100 + at, ("A", "a bovine", "houses")[at % 3], images=images) for at in range(1, shots + 1))
    return Ask(name or f"ask-{seed}", told, shot(seed * 100, images=images), choices)


def asks() -> list[Ask]:
    """Many shots and few, pictures and none, letters and names, one asked twice."""
    text = Ask("text", (Turn((), "What is a bovine?", "a bird"),), Turn((), "What is this called?"), NAMES)
    told = Ask("told", (Turn((), "", "a red car"),), shot(7), NAMES)
    return [
        ask(1),
        ask(2, 3, NAMES),
        ask(3, 0),
        text,
        ask(4, 2, LETTERS, images=2),
        told,
        ask(5, 1, NAMES),
        ask(1, name="again"),
    ]


def reader(name: str = "vicuna", attention: str = "sdpa", **settings: Any) -> VlmReader:
    """A reader of a tiny model, the same weights every time."""
    processor = tiny_processor(name)
    checked = ReaderSettings(**settings)
    how = RenderSettings(mode=checked.mode, max_tokens=checked.max_tokens, loss="last")
    return VlmReader(tiny_model(name, processor, attention), Renderer(processor, how), checked, name)
