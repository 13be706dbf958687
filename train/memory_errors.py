"""Batches that do not fit into memory, in words that say which batch it was and what to lower."""

from collections.abc import Iterator
from contextlib import contextmanager

from curate.errors import MemoryLimitError
from train.data.records import Batch


def out_of_memory(error: BaseException, batch: Batch | None = None) -> MemoryLimitError | None:
    """The error as a message that says which batch it was and what to lower; None when it is another kind of error.

    torch.OutOfMemoryError of a GPU, the RuntimeError of torch's allocator on a CPU, Python's MemoryError.
    """
    where = _exhausted(error)
    if where is None:
        return None
    what = f" at a micro-batch of {_described(batch)}" if batch is not None else ""
    return MemoryLimitError(
        f"the {where}'s memory did not suffice{what}; lower data.load.micro_batch or data.max_tokens, or set"
        " compute.recompute: selective, then full (curate train --dry-run estimates what a rank needs)"
    )


def _exhausted(error: BaseException) -> str | None:
    """Whose memory is exhausted."""
    import torch

    if isinstance(error, torch.OutOfMemoryError) or "CUDA out of memory" in str(error):
        return "GPU"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return "machine"
    return None


def _described(batch: Batch) -> str:
    from train.metrics.meter import images_of

    rows, length = batch.segments.shape
    pictures = images_of(batch)
    samples = ", ".join(str(number) for number in sorted({s.sample for s in batch.contents if s.sample >= 0}))
    said = f"{rows} row{'s'[: rows > 1]} of {length:,} tokens with {pictures} picture{'s'[: pictures != 1]}"
    return said + (f" (samples {samples[:80]} of the plan)" if samples else "")


@contextmanager
def explained(batch: Batch | None = None) -> Iterator[None]:
    """Turns an error of memory into one that says what to lower; other errors pass as they are."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        told = out_of_memory(error, batch)
        if told is None:
            raise
        raise told from error
