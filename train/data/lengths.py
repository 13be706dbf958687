"""What every sample of a plan costs once rendered, measured once and kept beside the plan.

PLAN/lengths-<renderer>.arrow           five int32 columns by sample number, memory-mapped
PLAN/lengths-<renderer>.unusable.jsonl  a line for each sample that cannot be used: where it lies, and why

Parts are measured by worker processes and written as they are done, so that an interrupted measuring goes
on where it was. The result does not depend on the workers.
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from curate.errors import InputError, IntegrityError, MemoryLimitError, QualityError, ShotcraftError
from curate.shards.plans import MEMBERS, SAMPLES, Plan
from curate.storage import Folder, canonical_json, hash_json, sha256
from train.data.reading import DAMAGE
from train.data.records import Measure, too_many

if TYPE_CHECKING:
    import pyarrow as pa

    from train.data.measuring import Measurer, Part
    from train.data.rendering import Renderer

Counts = npt.NDArray[np.int32]
COLUMNS = Measure._fields

PART = 2048
"""Samples of a part; decides nothing but how much an interruption costs."""
PARTS_A_PROCESS = 4
"""Parts that must be there for each process: below, starting it takes longer than it saves."""


class Progress(Protocol):
    """Hears how far the work is, in samples."""

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` samples are measured."""


@dataclass(frozen=True)
class Lengths:
    """Measures by sample number; all zero where a sample cannot be used."""

    tokens: Counts  # [S] pictures' tokens included
    images: Counts  # [S] pictures that remain
    image_tokens: Counts  # [S]
    supervised: Counts  # [S] tokens with a weight above zero
    shots: Counts  # [S] demonstrations that remain
    digest: str = ""  # of all of these
    unusable: dict[str, int] = field(default_factory=dict)  # reason -> samples
    neutralised: int = 0  # control tokens of the model that texts spelled

    @classmethod
    def of(cls, columns: Mapping[str, Any], digest: str = "") -> "Lengths":
        """Lengths of plain columns; those that are not given are zero."""
        zeros = np.zeros(len(columns["tokens"]), np.int32)
        tokens, images, image_tokens, supervised, shots = (np.asarray(columns.get(n, zeros), np.int32) for n in COLUMNS)
        return cls(tokens, images, image_tokens, supervised, shots, digest)

    @classmethod
    def find(cls, plan: Plan, renderer: "Renderer") -> "Lengths | None":
        """The lengths that lie beside a plan, or None when they were not measured, or for other samples."""
        folder, name = plan.folder, f"{_stem(renderer)}.arrow"
        if not folder.exists(name):
            return None
        table = _opened(folder, name)
        known = json.loads((table.schema.metadata or {}).get(b"shotcraft", b"{}"))
        if known.get("samples") != _samples_digest(plan) or table.column_names != list(COLUMNS):
            return None
        tokens, images, image_tokens, supervised, shots = (table.column(name).chunk(0).to_numpy() for name in COLUMNS)
        return cls(tokens, images, image_tokens, supervised, shots, known["digest"], known["unusable"], known["neutralised"])

    def __len__(self) -> int:
        return len(self.tokens)


def measure(
    plan: Plan, renderer: "Renderer", workers: int = 1, progress: Progress | None = None, max_faults: float = 0.01
) -> Lengths:
    """Measures every sample of a plan, or finds that it was done.

    Samples that cannot be used are written to a file beside the lengths and counted by reason. InputError for a
    plan without usable samples; QualityError, and nothing kept, when more than a share `max_faults` is damaged.
    """
    if not len(plan.samples):
        raise InputError(f"{plan.folder.uri} is a plan without samples; there is nothing to measure")
    with _alone(plan.folder):
        found = Lengths.find(plan, renderer)
        if found is None:
            scratch = plan.folder / f".{_stem(renderer)}-{_samples_digest(plan)[:8]}"
            scratch.clean()
            _measure_parts(plan, renderer, scratch, workers, progress or _silent)
            _join(plan, renderer, scratch, max_faults)
            found = Lengths.find(plan, renderer)
    assert found is not None, "lengths were just written"
    return found


def _stem(renderer: "Renderer") -> str:
    return f"lengths-{renderer.digest[:16]}"


def _samples_digest(plan: Plan) -> str:
    """Equal for equal samples, in whatever order a plan has them."""
    files = plan.manifest.files
    return hash_json([[source.digest for source in plan.manifest.sources], files.get(SAMPLES), files.get(MEMBERS)])


def _silent(done: int, total: int) -> None: ...


def _measure_parts(plan: Plan, renderer: "Renderer", scratch: Folder, workers: int, progress: Progress) -> None:
    from train.data.measuring import Measurer

    total, there = len(plan.samples), set(scratch.names())
    ranges = [range(start, min(start + PART, total)) for start in range(0, total, PART)]
    missing = [numbers for numbers in ranges if _part(numbers) not in there]
    done = total - sum(map(len, missing))
    progress(done, total)
    for numbers in _worked(Measurer(plan, renderer), scratch, missing, workers):
        done += len(numbers)
        progress(done, total)


def _worked(measurer: "Measurer", scratch: Folder, missing: Sequence[range], workers: int) -> Iterator[range]:
    """Measures and writes parts, in processes of their own where there are several of both."""
    processes = min(workers, len(missing) // PARTS_A_PROCESS)
    if processes <= 1:
        for numbers in missing:
            _write_part(scratch, numbers, measurer.part(numbers))
            yield numbers
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (measurer, scratch))
    try:
        yield from (future.result() for future in as_completed([pool.submit(_one, numbers) for numbers in missing]))
    except BrokenProcessPool:
        raise MemoryLimitError(
            "a measuring process was killed, most often for want of memory; run again with fewer workers, parts are kept"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_work: "list[tuple[Measurer, Folder]]" = []
"""What a worker process was started with."""


def _begin(measurer: "Measurer", scratch: Folder) -> None:
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    _work.append((measurer, scratch))


def _one(numbers: range) -> range:
    measurer, scratch = _work[-1]
    _write_part(scratch, numbers, measurer.part(numbers))
    return numbers


def _part(numbers: range) -> str:
    return f"part-{numbers.start:012d}.arrow"


def _write_part(scratch: Folder, numbers: range, part: "Part") -> None:
    lines = [
        {"sample": f.sample, "key": f.key, "shard": f.shard, "reason": f.reason, "detail": f.detail[:300]} for f in part.faults
    ]
    known = {"neutralised": part.neutralised, "faults": lines}
    scratch.write(_part(numbers), _arrow(dict(zip(COLUMNS, part.measures.T, strict=True)), known), durable=False)


def _join(plan: Plan, renderer: "Renderer", scratch: Folder, max_faults: float) -> None:
    """All parts as one file of one array a column, and a file of what cannot be used; 20 bytes a sample in memory."""
    columns = {name: np.zeros(len(plan.samples), np.int32) for name in COLUMNS}
    reasons, neutralised, names = Counter[str](), 0, [name for name in scratch.names() if name.startswith("part-")]
    with plan.folder.open_atomic(f"{_stem(renderer)}.unusable.jsonl") as out:
        for name in names:
            table, start = _opened(scratch, name), int(name[5:17])
            for column, values in columns.items():
                values[start : start + len(table)] = table.column(column)
            known = json.loads(table.schema.metadata[b"shotcraft"])
            neutralised += known["neutralised"]
            reasons.update(fault["reason"] for fault in known["faults"])
            out.writelines(json.dumps(fault, ensure_ascii=True).encode() + b"\n" for fault in known["faults"])
    try:
        _judge(plan, columns["tokens"], reasons, max_faults)
    except ShotcraftError:  # nothing to keep beside the plan: its shards will be mended or replaced
        _discard(scratch, names)
        plan.folder.remove(f"{_stem(renderer)}.unusable.jsonl")
        raise
    contents = [sha256(memoryview(values)) for values in columns.values()]  # type: ignore[arg-type]
    known = {"digest": hash_json(contents), "samples": _samples_digest(plan), "neutralised": neutralised}
    plan.folder.write(f"{_stem(renderer)}.arrow", _arrow(columns, known | {"unusable": dict(sorted(reasons.items()))}))
    _discard(scratch, names)


def _judge(plan: Plan, tokens: Counts, reasons: Mapping[str, int], max_faults: float) -> None:
    damaged = sum(count for reason, count in reasons.items() if reason in DAMAGE)
    if not tokens.any():
        worst = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:3])
        raise InputError(f"no sample of {plan.folder.uri} can be used ({worst}); are its shards sound?")
    if too_many(damaged, len(tokens), max_faults):
        raise QualityError(
            f"{damaged:,} of {len(tokens):,} samples of {plan.folder.uri} are damaged, more than max_faults {max_faults:g}"
            " allows; check the shards (curate shards verify) and measure again"
        )


def _discard(scratch: Folder, names: Sequence[str]) -> None:
    for name in names:
        scratch.remove(name)
    if scratch.is_local:
        scratch.local().rmdir()


def _arrow(columns: Mapping[str, Counts], known: Mapping[str, Any]) -> bytes:
    import pyarrow as pa

    table = pa.table({name: pa.array(values, pa.int32()) for name, values in columns.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema.with_metadata({"shotcraft": canonical_json(known)})) as out:
        out.write_table(table, max_chunksize=max(1, table.num_rows))  # one chunk, so that a column is one array
    return bytes(sink.getvalue())


def _opened(folder: Folder, name: str) -> "pa.Table":
    import pyarrow as pa

    try:
        source: Any = pa.memory_map(os.fspath(folder.local(name))) if folder.is_local else pa.BufferReader(folder.read(name))
        return pa.ipc.open_file(source).read_all()
    except pa.ArrowException as error:
        detail = " ".join(str(error).split())
        raise IntegrityError(f"{folder.uri}/{name} is not readable: {detail}; remove it and measure again") from None


@contextmanager
def _alone(folder: Folder) -> Iterator[None]:
    """One process at a time where a disk can tell; others wait and find the work done."""
    if not folder.is_local:
        yield
        return
    import fcntl

    folder.local().mkdir(parents=True, exist_ok=True)
    with folder.local(".lengths.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
