"""What can be wrong with a part."""

from dataclasses import dataclass


class Damaged(Exception):
    """A part that is none of ours, or no longer what was written; `reason` is a short stable word."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class Unreadable(Damaged):
    """A part that the system does not give just now; it may be whole, and stays where it is."""


def told(name: str) -> str:
    """A file's name, whatever it is, in plain characters."""
    return ascii(name)[1:-1]


@dataclass(frozen=True, slots=True)
class Fault:
    """A part whose entries count as missing, and why."""

    part: str
    reason: str
    detail: str
