"""What a bank holds, in figures."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from train.bank.bank import Bank
from train.bank.faults import Fault
from train.bank.parts import Part


@dataclass(frozen=True)
class Share:
    """What one aggregator has in a bank."""

    model: str  # digest of its facts
    facts: dict[str, Any]
    entries: int
    parts: int
    bytes: int


@dataclass(frozen=True)
class Survey:
    """A bank's figures."""

    entries: int  # distinct
    parts: int
    bytes: int  # of the parts' files
    max_bytes: int
    models: tuple[Share, ...]  # the largest first
    damaged: tuple[str, ...]  # names of files that were set aside
    faults: tuple[Fault, ...]  # those found just now


def survey(bank: Bank) -> Survey:
    """Reads headers only: a changed bit in an entry is found when the entry is used."""
    index = bank.index()
    groups: dict[str, list[Part]] = defaultdict(list)
    for part in index.parts.values():
        groups[part.model].append(part)
    shares = sorted(map(_share, groups.values()), key=lambda share: (-share.bytes, share.model))
    size, aside = sum(share.bytes for share in shares), tuple(bank.place.aside())
    return Survey(len(index), len(index.parts), size, bank.max_bytes, tuple(shares), aside, tuple(bank.faults))


def _share(parts: list[Part]) -> Share:
    entries = {key for part in parts for key in part.sums}
    return Share(parts[0].model, parts[0].facts, len(entries), len(parts), sum(part.size for part in parts))
