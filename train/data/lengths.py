"""What every sample of a plan costs once rendered, measured once and kept beside the plan.

PLAN/lengths-<renderer>.arrow           five int32 columns by sample number, memory-mapped
PLAN/lengths-<renderer>.unusable.jsonl  a line for each sample that cannot be used: where it lies, and why

Parts are measured by worker processes and written as they are done, so that an interrupted measuring goes
on where it was. The result does not depend on the workers.
"""

import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from curate.errors import InputError, IntegrityError, MemoryLimitError, QualityError, ShotcraftError
from curate.shards.plans import MEMBERS, SAMPLES, Plan
from curate.storage import Folder, canonical_json, hash_json, sha256
from train.data.beacon import Beacon, Watcher
from train.data.processes import held_back, leave_signals_to_parent
from train.data.reading import DAMAGE
from train.data.records import Measure, too_many

if TYPE_CHECKING:
    import pyarrow as pa

    from train.data.measuring import Measurer, Part
    from train.data.rendering import Renderer

Counts = npt.NDArray[np.int32]
COLUMNS = Measure._fields

OVER_BUDGET = ("too_long", "too_many_images")
"""Reasons that the settings have, not the samples."""

PART = 2048
"""Samples of a part; decides nothing but how much an interruption costs."""
PARTS_A_PROCESS = 4
"""Parts that must be there for each process: below, starting it takes longer than it saves."""

AHEAD = 2
"""Parts for each process that are handed out at a time; the others need not be called back when measuring is stopped."""
LISTEN_EVERY = 1.0
"""Seconds after which progress is told again where no part was done."""


class Progress(Protocol):
    """Hears how far the work is, in samples."""

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` samples are measured. May raise, which stops the work."""


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
        folder, name = plan.folder, f"{stem(renderer)}.arrow"
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
    plan: Plan,
    renderer: "Renderer",
    workers: int = 1,
    progress: Progress | None = None,
    max_faults: float = 0.01,
    attempt: str = "",
) -> Lengths:
    """Measures every sample of a plan, or finds that it was done.

    Samples that cannot be used are written to a file beside the lengths and counted by reason. InputError for a
    plan without usable samples; QualityError, and nothing kept, when more than a share `max_faults` is damaged.
    `attempt` is for those who wait, see `awaited`. What `progress` raises ends the measuring; finished parts are kept.
    """
    if not len(plan.samples):
        raise InputError(f"{plan.folder.uri} is a plan without samples; there is nothing to measure")
    with Beacon(plan.folder, _sign(renderer), attempt) if attempt else nullcontext(), _alone(plan.folder):
        found = Lengths.find(plan, renderer)
        if found is None:
            scratch = plan.folder / f".{stem(renderer)}-{_samples_digest(plan)[:8]}"
            scratch.clean()
            _measure_parts(plan, renderer, scratch, workers, progress or _silent)
            _join(plan, renderer, scratch, max_faults)
            found = Lengths.find(plan, renderer)
    assert found is not None, "lengths were just written"
    return found


def awaited(
    plan: Plan,
    renderer: "Renderer",
    attempt: str,
    stop: Callable[[], bool] = lambda: False,
    every: float = 1.0,
    patience: float = 120.0,
) -> Lengths | None:
    """Waits, by files alone, until another process has measured a plan; None when `stop` says to wait no longer.

    Every process must know the same `attempt`, a word that is new for each start; the one that measures gives it to
    `measure`. ShotcraftError when that one failed, or when there was no sign of it for `patience` seconds, which
    should be longer than what the folder's disk takes to show what others wrote.
    """
    watcher = Watcher(plan.folder, _sign(renderer), attempt, patience)
    while True:
        plan.folder.refresh()
        found = Lengths.find(plan, renderer)
        if found is not None or stop():
            return found
        watcher.look()
        time.sleep(every)


def _sign(renderer: "Renderer") -> str:
    return f".{stem(renderer)}.measuring"


def stem(renderer: "Renderer") -> str:
    """What the files of a plan's lengths are called."""
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
    with closing(_worked(Measurer(plan, renderer), scratch, missing, workers)) as parts:  # at once, whatever is raised
        for numbers in parts:
            done += len(numbers)
            progress(done, total)


def _worked(measurer: "Measurer", scratch: Folder, missing: Sequence[range], workers: int) -> Generator[range]:
    """Measures and writes parts, in processes of their own where there are several of both."""
    processes = min(workers, len(missing) // PARTS_A_PROCESS)
    if processes <= 1:
        for numbers in missing:
            _write_part(scratch, numbers, measurer.part(numbers))
            yield numbers
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context, resource_tracker

    resource_tracker.ensure_running()
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (measurer, scratch))
    try:
        yield from _pooled(pool, missing, AHEAD * processes)
    except BrokenProcessPool:
        raise MemoryLimitError(
            "a measuring process was killed, most often for want of memory; run again with fewer workers, parts are kept"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _pooled(pool: Executor, missing: Sequence[range], ahead: int) -> Iterator[range]:
    """Parts as they are done, and an empty one when none was for a while, so that who listens can say stop."""
    from concurrent.futures import FIRST_COMPLETED, wait

    waiting, pending = deque(missing), set[Future[range]]()
    while waiting or pending:
        with held_back():  # submitting starts the processes
            pending |= {pool.submit(_one, waiting.popleft()) for _ in range(min(len(waiting), ahead - len(pending)))}
        done, pending = wait(pending, LISTEN_EVERY, FIRST_COMPLETED)
        yield from (future.result() for future in done)
        if not done:
            yield range(0)


_work: "list[tuple[Measurer, Folder]]" = []
"""What a worker process was started with."""


def _begin(measurer: "Measurer", scratch: Folder) -> None:
    import torch

    torch.set_num_threads(1)
    leave_signals_to_parent()
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
    with plan.folder.open_atomic(f"{stem(renderer)}.unusable.jsonl") as out:
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
        plan.folder.remove(f"{stem(renderer)}.unusable.jsonl")
        raise
    write_lengths(plan, renderer, columns, reasons, neutralised)
    _discard(scratch, names)


def write_lengths(
    plan: Plan, renderer: "Renderer", columns: Mapping[str, Counts], reasons: Mapping[str, int], neutralised: int
) -> None:
    """The measures of a plan's samples beside it, where `Lengths.find` looks for them."""
    contents = [sha256(memoryview(columns[name])) for name in COLUMNS]  # type: ignore[arg-type]
    known = {"digest": hash_json(contents), "samples": _samples_digest(plan), "neutralised": neutralised}
    found = _arrow({name: columns[name] for name in COLUMNS}, known | {"unusable": dict(sorted(reasons.items()))})
    plan.folder.write(f"{stem(renderer)}.arrow", found)


def _judge(plan: Plan, tokens: Counts, reasons: Mapping[str, int], max_faults: float) -> None:
    damaged = sum(count for reason, count in reasons.items() if reason in DAMAGE)
    if not tokens.any():
        worst = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:3])
        short = any(reason in OVER_BUDGET for reason in reasons)
        cure = "raise max_tokens or max_images" if short else "are its shards sound (curate shards verify)?"
        raise InputError(f"no sample of {plan.folder.uri} can be used ({worst}); {cure}")
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
