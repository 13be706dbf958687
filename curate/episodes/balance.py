"""Which letter is right and where the positive demonstrations stand, so that no blind rule beats chance.

Episodes with N options and S demonstrations are numbered i = 0, 1, 2, ... within a part, after the guard
has dropped what it drops. The number is read as digits: a = i mod N, group t = i div N, b = t mod N,
c = (t + t div N) mod N, block r = i div N**3. Every block draws a pattern (a slot for each position, slots as
often as one another or once more) and a letter for each position. Then

    right letter of the query        = a
    slot of the query's class        = a + b                       (mod N)
    letter shown at position j       = block's letter for j + c    (mod N)
    class shown at position j        = the class in slot pattern[j]

- Within a group everything the demonstrations show is fixed while the query's letter and slot run through all
  N values. So any rule that reads answers off the demonstrations (first, last, majority, position j, ...) is right
  in exactly one of the N episodes, for letters and for labels, and so is any constant.
- Within N groups every (letter, slot) and (letter, shown letter) pair comes once; within a block all (a, b, c) do:
  the right letter, the positive positions and the letters the positive demonstrations show are mutually independent.
- With S < N a class is demonstrated in S of N episodes, which is what keeps "it is a class you were shown"
  at chance; with S >= N every option is demonstrated.

Digits start at random offsets in every part, so that unfinished groups do not add up over the parts.
"""

from dataclasses import dataclass

import numpy as np

from curate.episodes.dice import Dice, Ints


@dataclass(frozen=True)
class Design:
    """The balanced plan of E episodes."""

    letters: Ints  # [E, S + 1] index of the right option in every turn, the query's last
    slots: Ints  # [E, S + 1] slot of the class of every turn, the query's last


def design(episodes: int, shots: int, ways: int, seed: int, cell: str) -> Design:
    """The design of a cell's episodes in one part; `cell` names both."""
    number = np.arange(episodes)
    group, block = number // ways, number // ways**3
    start = Dice.of(seed, "episodes.design", [cell]).below("start", ways, 3)[0]
    a = (number + start[0]) % ways
    b = (group + start[1]) % ways
    c = (group + group // ways + start[2]) % ways
    blocks = Dice.of(seed, "episodes.design", [f"{cell}/{at}" for at in range(int(block.max(initial=-1)) + 1)])
    shown = blocks.below("letters", ways, shots)[block]
    pattern = _patterns(blocks, shots, ways)[block]
    letters = np.concatenate([(shown + c[:, None]) % ways, a[:, None]], axis=1)
    slots = np.concatenate([pattern, ((a + b) % ways)[:, None]], axis=1)
    return Design(letters, slots)


def _patterns(blocks: Dice, shots: int, ways: int) -> Ints:
    """[R, S] slots in random order, no slot twice more often than another; which get the extra ones is random."""
    rounds = -(-shots // ways)
    names = blocks.orders("slots", ways)  # [R, N] which slots come first in an unfinished round
    slots = np.tile(names, (1, rounds))[:, :shots]
    return np.asarray(np.take_along_axis(slots, blocks.orders("places", shots), axis=1))
