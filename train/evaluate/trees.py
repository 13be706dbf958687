"""Lines with equal beginnings as one row: what they share is computed once.

The lines of an ask are its prompt with each choice behind it. As a tree, the prompt is the trunk and choices are
branches: a position sees its ancestors and itself. A line's last token has nothing behind it to predict and is left
out, so that choices of one token each leave the bare trunk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from train.data.positions import Ints

Bools = npt.NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Tree:
    """N positions, parents before children, and the W tokens that are wanted of them."""

    origin: Ints  # [N, 2] line and place in it that each position is made from
    paths: tuple[Ints, ...]  # the positions of each line, its last token's left out
    line: Ints  # [W] of which line a token is wanted
    node: Ints  # [W] the position that predicts it
    token: Ints  # [W]

    def __len__(self) -> int:
        return len(self.origin)

    @property
    def chain(self) -> bool:
        """Whether there are no branches: every position sees all before it."""
        return all(len(path) == 0 or path[-1] == len(path) - 1 for path in self.paths)

    @property
    def seen(self) -> Bools:
        """[N, N] whom each position sees. Made where it is wanted: of long lines it is large."""
        seen = np.zeros((len(self), len(self)), np.bool_)
        for path in self.paths:
            seen[np.ix_(path, path)] = np.tri(len(path), dtype=np.bool_)
        return seen

    def gathered(self, lines: Sequence[npt.NDArray[Scalar]]) -> npt.NDArray[Scalar]:
        """[..., N] what the positions have of something that each line has [..., T] of."""
        starts = np.cumsum([0, *(line.shape[-1] for line in lines[:-1])])
        return np.concatenate(lines, -1)[..., starts[self.origin[:, 0]] + self.origin[:, 1]]


def tree_of(lines: Sequence[Ints], starts: Sequence[int]) -> Tree:
    """The tree of lines [T] of token ids; of each, the tokens from its start (at least 1) on are wanted.

    Lines must mean the same wherever they have equal tokens: they show the same pictures.
    """
    order = sorted(range(len(lines)), key=lambda at: lines[at].tolist())
    paths, origin, count = [np.zeros(0, np.int64)] * len(lines), [], 0
    path, before = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for at in order:
        own = lines[at][:-1]
        shared = equal(before, own)
        places = np.arange(shared, len(own))
        origin.append(np.stack([np.full_like(places, at), places], 1))
        path = np.concatenate([path[:shared], count + np.arange(len(places))])
        paths[at], before, count = path, own, count + len(places)
    wanted = [(at, paths[at][start - 1 :], line[start:]) for at, (line, start) in enumerate(zip(lines, starts, strict=True))]
    return Tree(
        np.concatenate(origin),
        tuple(paths),
        np.concatenate([np.full_like(tokens, at) for at, _, tokens in wanted]),
        np.concatenate([nodes for _, nodes, _ in wanted]),
        np.concatenate([tokens for _, _, tokens in wanted]),
    )


def equal(one: Ints, other: Ints) -> int:
    """How many first tokens two lines have in common."""
    length = min(len(one), len(other))
    different = np.flatnonzero(one[:length] != other[:length])
    return int(different[0]) if len(different) else length
