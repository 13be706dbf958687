"""Turns as a conversation in the form that chat templates read, in one of three modes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from train.data.rendering.settings import Mode

Message = dict[str, Any]
"""{"role": "user" | "assistant", "content": [{"type": "image"} | {"type": "text", "text": ...}, ...]}."""


class Words(NamedTuple):
    """What a conversation needs to know of a turn."""

    images: int
    question: str
    answer: str


def conversation(mode: Mode, turns: Sequence[Words]) -> list[Message]:
    """The messages of an episode; its last turn is the query."""
    if mode == "single":
        return _single(turns)
    if mode == "images_first":
        turns = _numbered(turns)
    return [message for turn in turns for message in (_user(turn), _message("assistant", turn.answer))]


def _user(turn: Words) -> Message:
    return _message("user", turn.question, turn.images)


def _message(role: str, text: str, images: int = 0) -> Message:
    content: list[dict[str, str]] = [{"type": "image"} for _ in range(images)]
    return {"role": role, "content": [*content, {"type": "text", "text": text}] if text or not images else content}


def _single(turns: Sequence[Words]) -> list[Message]:
    """One user turn of pictures, questions and answers, which ends with the query's question."""
    parts = []
    for turn in turns[:-1]:
        told = f"{turn.question}\n{turn.answer}\n\n" if turn.question else f"{turn.answer}\n\n"
        parts += _message("user", told, turn.images)["content"]
    parts += _user(turns[-1])["content"]
    return [{"role": "user", "content": parts}, _message("assistant", turns[-1].answer)]


def _numbered(turns: Sequence[Words]) -> list[Words]:
    """All pictures in the first turn; questions name theirs by number."""
    numbered, before = [], 0
    total = sum(turn.images for turn in turns)
    for place, turn in enumerate(turns):
        name = _name(range(before + 1, before + turn.images + 1))
        question = f"{name}: {turn.question}" if name and turn.question else name or turn.question
        numbered.append(Words(0 if place else total, question, turn.answer))
        before += turn.images
    return numbered


def _name(numbers: range) -> str:
    if len(numbers) < 2:
        return f"Image {numbers[0]}" if numbers else ""
    return f"Images {', '.join(map(str, numbers))}"
