"""Every arrangement of a question: each position of the positive, both orders of the options.

A pattern says which of N places each of N * K demonstrations takes, one of each place in every round. In rotation r the
class of place p stands where place p - r stood, so that over N rotations every class stands in every position
equally often: first, last and anywhere. The order of the options belongs to the position, not to the class, so the letter
that stands at a position runs over all N letters as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from curate.seeding import rng

DRAWN, REVERSED = "+", "-"


@dataclass(frozen=True)
class Arrangement:
    """One order of a block's demonstrations and options."""

    name: str  # "r0+", "r0-", "r1+", ...: rotation, and whether options stand as drawn or reversed
    turns: tuple[tuple[int, int], ...]  # [N * K] place of the class in the block, and how many of it came before
    options: tuple[tuple[int, ...], ...]  # [N * K + 1][N] places in the order shown in every turn, the query's last


def arrangements(
    name: str, ways: int, shots: int, seed: int, with_options: bool = True, each_turn: bool = True
) -> Iterator[Arrangement]:
    """All arrangements of the block `name` at a number of shots of each class; one without demonstrations needs no
    rotation. `with_options` gives each with the options of every turn as drawn and reversed; without `each_turn` they have
    the query's order throughout."""
    dice = rng(seed, "bench.pattern", f"{name}/{shots}")
    pattern = [int(place) for _ in range(shots) for place in dice.permutation(ways)]
    options = [_order(name, ways, seed, str(at) if each_turn else "query") for at in range(len(pattern))]
    options.append(_order(name, ways, seed, "query"))
    for rotation in range(ways if shots else 1):
        places = [(place + rotation) % ways for place in pattern]
        turns = tuple((place, places[:at].count(place)) for at, place in enumerate(places))
        yield Arrangement(f"r{rotation}{DRAWN}", turns, tuple(options))
        if with_options:
            yield Arrangement(f"r{rotation}{REVERSED}", turns, tuple(order[::-1] for order in options))


def _order(name: str, ways: int, seed: int, turn: str) -> tuple[int, ...]:
    return tuple(int(place) for place in rng(seed, "bench.options", f"{name}/{turn}").permutation(ways))
