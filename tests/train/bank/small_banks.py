"""Demonstrations, an aggregator that counts what it is asked, and what tests look at in a bank's folder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from train.bank import key_of
from train.evaluate.records import Picture, Turn

FACTS: dict[str, Any] = {"weights": "w", "layer": -1, "dtype": "float32", "span": "answer"}


def turn(number: int, question: str = "What is it?") -> Turn:
    data = f"picture {number}".encode()
    return Turn((Picture(f"{hashlib.sha256(data).hexdigest()}.png", data, 8, 6),), question, f"answer {number}")


def key(number: int) -> str:
    return key_of(FACTS, turn(number))


def hidden(number: int, rows: int = 4, width: int = 16) -> torch.Tensor:
    return torch.full((rows, width), float(number))


def entries(*numbers: int, rows: int = 4) -> dict[str, torch.Tensor]:
    return {key(number): hidden(number, rows) for number in numbers}


def parts(folder: Path) -> list[Path]:
    return sorted((folder / "parts").glob("*.safetensors"))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in parts(folder))


class Counting:
    """Makes [3, 16] of a demonstration, random but the same every time; nothing of those called `bad`."""

    def __init__(self, **facts: Any) -> None:
        self._facts, self.asked = FACTS | facts, []

    asked: list[tuple[str, ...]]

    def facts(self) -> dict[str, Any]:
        return self._facts

    def aggregate(self, turns: Sequence[Turn]) -> list[torch.Tensor | None]:
        self.asked.append(tuple(one.answer for one in turns))
        return [None if one.answer.startswith("bad") else self._made(one) for one in turns]

    def _made(self, one: Turn) -> torch.Tensor:
        seed = int(hashlib.sha256(repr((self._facts, one)).encode()).hexdigest()[:8], 16)
        return torch.randn(3, 16, generator=torch.Generator().manual_seed(seed))
