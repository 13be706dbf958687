"""Lengths of one plan for another whose samples are among its own: many plans over one pool are measured once.

A sample is known by the content of its shards and by its key, so plans may call their sources what they like.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.shards.plans import Plan
from train.data.lengths import COLUMNS, Lengths, stem, write_lengths

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from train.data.rendering import Renderer


def borrow(plan: Plan, pool: Plan, renderer: "Renderer") -> Lengths | None:
    """The lengths of `plan`, taken from those of `pool` and kept beside it as if they had been measured.

    None, and nothing written, where the pool was not measured with this renderer or lacks a sample. `neutralised` is the
    pool's: it is counted by plan, not by sample.
    """
    if (own := Lengths.find(plan, renderer)) is not None:
        return own
    known = Lengths.find(pool, renderer)
    places = _places(plan, pool) if known is not None else None
    if known is None or places is None:
        return None
    columns = {name: np.ascontiguousarray(getattr(known, name)[places]) for name in COLUMNS}
    reasons = _write_unusable(plan, pool, renderer, places)
    write_lengths(plan, renderer, columns, reasons, known.neutralised)
    return Lengths.find(plan, renderer)


def _places(plan: Plan, pool: Plan) -> "npt.NDArray[np.int64] | None":
    """[S] the pool's number of each sample of the plan; None where one is not in the pool."""
    import pyarrow.compute as pc

    found = pc.index_in(_names(plan), value_set=_names(pool))
    return None if found.null_count else found.to_numpy(zero_copy_only=False).astype(np.int64)


def _names(plan: Plan) -> "pa.Array":
    """[S] digest of the shards, shard and key of each sample."""
    import pyarrow as pa
    import pyarrow.compute as pc

    shards = [f"{source.digest}/{name}" for source in plan.manifest.sources for name in source.shards]
    of = pa.array(shards, pa.string()).take(plan.samples.column("shard").combine_chunks())
    return pc.binary_join_element_wise(of, plan.samples.column("key").combine_chunks(), "/")


def _write_unusable(plan: Plan, pool: Plan, renderer: "Renderer", places: "npt.NDArray[np.int64]") -> Mapping[str, int]:
    """Writes the lines about the plan's samples that cannot be used, numbered as it numbers them; how many, by reason."""
    name = f"{stem(renderer)}.unusable.jsonl"
    faults: list[dict[str, Any]] = [json.loads(line) for line in pool.folder.read(name).splitlines()]
    at = {int(number): place for place, number in enumerate(places)} if faults else {}
    mine = sorted((at[fault["sample"]], fault) for fault in faults if fault["sample"] in at)
    lines = (json.dumps({**fault, "sample": number}, ensure_ascii=True).encode() + b"\n" for number, fault in mine)
    plan.folder.write(name, b"".join(lines))
    return Counter(str(fault["reason"]) for _, fault in mine)
