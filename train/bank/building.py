"""A bank filled ahead with labelled pictures, as demonstrations of `curate predict`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from curate.errors import ConfigError, InputError
from curate.images import BadImage
from curate.labelled import LabelledSet
from curate.storage import sha256
from train.bank.banked import Banked
from train.bank.keys import key_of
from train.evaluate.questions import LETTERS, Questions
from train.evaluate.records import Turn


@dataclass(frozen=True)
class Built:
    """What a call of `build` did; known and aggregated ones are all demonstrations."""

    demonstrations: int
    known: int  # already there, or equal to an earlier one
    aggregated: int
    unusable: int  # that the aggregator made nothing of
    lost: int  # usable, but not in the bank at the end, since it is too small


def turns_of(demos: LabelledSet, question: str | None = None, letters: bool = False) -> Iterator[Turn]:
    """The demonstrations as Predictor shows them when all labels are options; pictures are read as they are needed.

    ConfigError for more labels than letters, InputError for a picture whose bytes changed meanwhile.
    """
    if letters and len(demos.labels) > len(LETTERS):
        raise ConfigError(f"{len(demos.labels)} labels have no letters; leave --letters out")
    questions = Questions(demos, question, letters)
    for row, one in enumerate(demos.rows):
        try:
            turn = questions.demonstration(row, demos.labels)
        except BadImage as fault:
            raise InputError(f"{one.name} changed since it was first read ({fault.reason}); run again") from None
        if any(sha256(picture.data) != picture.ref.partition(".")[0] for picture in turn.pictures):
            raise InputError(f"{one.name} changed since it was first read; run again")
        yield turn


def build(
    banked: Banked,
    demos: LabelledSet,
    question: str | None = None,
    letters: bool = False,
    batch: int = 16,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Built:
    """Aggregates what the bank lacks, `batch` demonstrations at a time; each batch is on the disk before the next.

    `progress` hears of demonstrations done and in all. Called again after an interruption, it goes on.
    """
    keys: set[str] = set()
    done = unusable = 0
    hits, misses = banked.hits, banked.misses
    turns = turns_of(demos, question, letters)
    while some := list(islice(turns, batch)):
        made = banked.aggregate(some)
        keys |= _kept(banked, some, [hidden is not None for hidden in made])
        unusable += sum(hidden is None for hidden in made)
        done += len(some)
        progress(done, len(demos.rows))
    index = banked.bank.index()
    lost = sum(key not in index for key in keys)
    return Built(done, banked.hits - hits, banked.misses - misses, unusable, lost)


def _kept(banked: Banked, turns: Sequence[Turn], usable: Sequence[bool]) -> set[str]:
    return {key_of(banked.facts(), turn) for turn, good in zip(turns, usable, strict=True) if good}
