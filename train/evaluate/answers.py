"""A cell's answers on disk, appended chunk by chunk and gone on with after a crash.

A chunk is asked and appended as one; a file that a killed process left ends in the middle of a chunk or of a line. Going on
cuts it back to the last whole chunk and asks the rest again, so that the file comes out byte for byte as without the crash,
also where a model's figures depend a little on what else is in a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from curate.benches import Item
from curate.evaluations import Answer, read_answers
from curate.storage import Folder, clear_errors


@dataclass(frozen=True)
class AnswerFile:
    """OUT/answers/BENCH/CONDITION-SHOTS.jsonl for items in the order in which they are asked."""

    folder: Folder
    name: str
    items: Sequence[Item]
    chunk: int

    def kept(self) -> list[Answer]:
        """What need not be asked again: answers to the first items, in whole chunks, or to all items.

        There may be more answers than items, where more were asked once.
        """
        found = read_answers(self.folder, self.name)
        same = 0
        while same < min(len(found), len(self.items)) and found[same].item == self.items[same].id:
            same += 1
        if same == len(self.items):
            return found
        return found[: same // self.chunk * self.chunk]

    def missing(self) -> list[list[Item]]:
        """The items that are left to be asked, in chunks."""
        first = len(self.kept())
        return [list(self.items[at : at + self.chunk]) for at in range(first, len(self.items), self.chunk)]

    def reopened(self) -> IO[bytes]:
        """The file, cut back to what is kept, to append to."""
        self.folder.write(self.name, "".join(answer.line() for answer in self.kept()).encode())
        with clear_errors(f"{self.folder.uri}/{self.name}"):
            return self.folder.local(self.name).open("ab", buffering=0)
