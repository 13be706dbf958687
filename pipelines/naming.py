"""Named pictures of finished runs, for a projector to begin with."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pipelines.console import now_and_then

if TYPE_CHECKING:
    from train.model.contrast import Pair


def named_pictures(runs: Sequence[str]) -> "list[Pair]":
    """Each picture of the runs' demonstrations once, under its most specific concept, else its answer. InputError for a
    folder without demonstrations."""
    from curate.layout import Run
    from train.model.contrast import Pair

    found: dict[str, Pair] = {}
    for place in runs:
        run = Run.at(place)
        for demonstration in run.demonstrations():
            if len(demonstration.images) == 1:
                ref = demonstration.images[0].ref
                name = (*demonstration.concepts, demonstration.answer)[0]
                found.setdefault(ref, Pair(name.replace("_", " "), partial(run.images.get, ref)))
    return list(found.values())


@contextmanager
def looking() -> Iterator[Callable[[int, int], None]]:
    """A bar over pictures on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        tell = now_and_then()
        yield lambda done, total: tell(f"looked at {done:,} of {total:,} pictures")
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("pictures", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
