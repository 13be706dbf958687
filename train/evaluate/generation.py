"""Greedy writing in batches: prompts padded in front, keys and values kept, a row done at its end of turn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from train.data.positions import Ints

if TYPE_CHECKING:
    from train.evaluate.language import Language, Row
    from train.evaluate.prefixes import Prefix


@torch.no_grad()  # type: ignore[untyped-decorator]
def written(
    language: "Language", rows: "Sequence[Row]", most: int, ends: frozenset[int], prefix: "Prefix | None" = None
) -> list[list[int]]:
    """At most `most` tokens behind each prompt, the end left out; all prompts begin with the prefix."""
    length, device = max(map(len, rows)), language.device
    positions = torch.from_numpy(np.stack([_filled(row.positions, length) for row in rows], 1)).to(device)
    before, known = (prefix.length, prefix.repeated(len(rows))) if prefix else (0, None)
    mask = torch.tensor([[1] * before + [0] * (length - len(row)) + [1] * len(row) for row in rows], device=device)
    last, cache = language.step(language.embedded(rows, length, left=True), positions, mask, known)
    behind = torch.tensor([int(row.positions.max()) for row in rows], device=device)
    said: list[list[int]] = [[] for _ in rows]
    open_ = set(range(len(rows)))
    for count in range(1, most + 1):
        words = language.words(last)
        for at, word in enumerate(words.tolist()):
            if at in open_ and word in ends:
                open_.discard(at)
            elif at in open_:
                said[at].append(word)
        if not open_ or count == most:
            break
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
        places = (behind + count)[None, :, None].expand(len(positions), -1, -1)
        last, cache = language.step(language.table(words[:, None]), places, mask, cache)
    return said


def _filled(positions: Ints, length: int) -> Ints:
    """[1 or 3, L] with padding in front, which nobody sees."""
    return np.pad(positions, ((0, 0), (length - positions.shape[1], 0)))
