"""Keys and values of demonstrations that many asks begin with: computed once, kept while they are asked for."""

import copy
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from train.evaluate.lines import Line

if TYPE_CHECKING:
    from train.evaluate.language import Language, Row


@dataclass(frozen=True, eq=False)
class Prefix:
    """The beginning of a prompt as a decoder holds it."""

    length: int  # positions
    cache: Any  # of one row

    def repeated(self, rows: int) -> Any:
        """A cache for so many rows, to write into."""
        own = copy.deepcopy(self.cache)
        own.batch_repeat_interleave(rows)
        return own


class Prefixes:
    """The last few prefixes."""

    def __init__(self, language: "Language", most: int) -> None:
        self._language, self.most = language, most
        self._kept: OrderedDict[Hashable, Prefix] = OrderedDict()
        self.computed = 0

    def of(self, key: Hashable, head: "Row") -> Prefix:
        """The prefix of a row, of which `key` tells everything."""
        if key not in self._kept:
            self._kept[key] = Prefix(len(head), self._language.cached(head))
            self.computed += 1
        self._kept.move_to_end(key)
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)
        return self._kept[key]


def key_of(line: Line) -> Hashable:
    """What the first `fixed` positions of a line depend on."""
    refs = tuple(picture.ref for picture in line.pictures[: line.shown])
    return line.ids[: line.fixed].tobytes(), refs, line.fused
