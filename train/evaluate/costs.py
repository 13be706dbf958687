"""What questions with demonstrations cost a model: tokens of a prompt, time to the first token, memory, questions a second.

Cold, nothing is known of a question's pictures and demonstrations. Warm, the reader kept of them what it may: what the
tower made of pictures, and with fused demonstrations (AIM) their states, in a bank. What is kept of a whole list of
demonstrations (`prefixes`) helps where all questions share them and is left out of both.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from curate.benches import Bench
from curate.evaluations import Cost
from train.evaluate.asking import Asking
from train.evaluate.cells import Cell, EvaluateSettings, cells_of
from train.evaluate.reader import ReaderSettings, VlmReader
from train.evaluate.records import Ask

STATES, MEASURED = ("cold", "warm"), ("full", "none")
PROC = Path("/proc/self")


def costs(
    load: Callable[[ReaderSettings], VlmReader],
    benches: Sequence[Bench],
    reading: ReaderSettings,
    settings: EvaluateSettings,
    questions: int = 8,
) -> list[Cost]:
    """Measures so many questions, each of another group, of every cell with whole or without demonstrations, as far as they
    are asked. `load` makes a
    reader of the model. Questions that do not fit are left out, and cells of which none does."""
    conditions = tuple(name for name in MEASURED if name in settings.conditions) or MEASURED[:1]
    cells = cells_of(benches, settings.model_copy(update={"conditions": conditions}))
    asked = {cell: _asks(cell, settings, questions) for cell in cells}
    found: list[Cost] = []
    with tempfile.TemporaryDirectory() as folder:
        kept: dict[str, Any] = {"cache_mb": 0, "bank": None}
        for state in STATES:
            reader = load(reading.model_copy(update={"prefixes": 0, **kept}))
            kept = {"bank": reading.bank or folder} if reader.aggregator else {}  # of the warm one
            reader.generate(asked[cells[0]][:1], 1)  # what is only done once
            fitting = {cell: [ask for ask in asks if reader.prompt_tokens([ask])] for cell, asks in asked.items()}
            found += [_cost(reader, cell, state, asks, settings) for cell, asks in fitting.items() if asks]
            del reader
    return sorted(found, key=lambda cost: [cell.bench.name for cell in cells].index(cost.bench))


def _asks(cell: Cell, settings: EvaluateSettings, questions: int) -> list[Ask]:
    asking = Asking(cell.bench, settings.seed)
    firsts = {item.group: item for item in reversed(cell.items)}
    chosen = [item for item in cell.items if firsts[item.group] is item][:questions]
    return [asking.ask(item, cell.condition, cell.likelihoods and settings.scoring == "auto") for item in chosen]


def _cost(reader: VlmReader, cell: Cell, state: str, asks: Sequence[Ask], settings: EvaluateSettings) -> Cost:
    if state == "warm":
        reader.generate(asks, 1)
    alone = [first_token(reader, ask) for ask in asks]
    began = time.perf_counter()
    if asks[0].choices:
        reader.likelihoods(asks)
    else:
        reader.generate(asks, settings.max_new_tokens)
    seconds = time.perf_counter() - began
    held = [mib for _, mib in alone if mib is not None]
    return Cost(
        bench=cell.bench.name,
        condition=cell.condition,
        shots=cell.shots,
        state=state,
        questions=len(asks),
        prompt_tokens=round(statistics.fmean(reader.prompt_tokens(asks)), 1),
        first_token=round(statistics.median(seconds for seconds, _ in alone), 4),
        peak_mib=round(statistics.median(held), 1) if held else None,
        per_second=round(len(asks) / seconds, 2),
    )


def first_token(reader: VlmReader, ask: Ask) -> tuple[float, float | None]:
    """Seconds to the first token, and MiB that it took at most."""
    with _peak(reader.device) as taken:
        began = time.perf_counter()
        reader.generate([ask], 1)
        seconds = time.perf_counter() - began
    return seconds, taken[0]


@contextmanager
def _peak(device: torch.device) -> Iterator[list[float | None]]:
    """Holds, once the block has ended, the MiB that it took at most beyond what was held before: of a GPU what torch
    allocated, else the process's resident memory where Linux tells it."""
    taken: list[float | None] = [None]
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield taken
        taken[0] = (torch.cuda.max_memory_allocated(device) - before) / 2**20
        return
    known = _forget_peak()
    yield taken
    if known is not None:
        taken[0] = (_resident_peak() - known) / 2**20


def _forget_peak() -> int | None:
    """The peak of resident memory begins anew: bytes held now. None where that cannot be asked for."""
    try:
        (PROC / "clear_refs").write_text("5")
    except OSError:
        return None
    return _resident_peak()


def _resident_peak() -> int:
    line = next(line for line in (PROC / "status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
