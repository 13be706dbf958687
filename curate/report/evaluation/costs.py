"""What questions cost each model, where `curate evaluate --costs` measured it."""

from collections.abc import Iterator, Sequence

from curate.evaluations import Cost
from curate.report.evaluation.board import Board
from curate.report.evaluation.models import Model
from curate.report.evaluation.scores import Cell

CostRow = tuple[str, int, Sequence[Cell]]
"""Benchmark, shots, a cell a model."""


def costs(board: Board) -> list[CostRow]:
    """A row each benchmark and number of shots that some model was measured on; [] where none was."""
    measured = [_measured(model) for model in board.models]
    lines = sorted({line for known in measured for line in known})
    return [(bench, shots, [_cell(known.get((bench, shots), {})) for known in measured]) for bench, shots in lines]


def _measured(model: Model) -> dict[tuple[str, int], dict[str, Cost]]:
    """Cold and warm by benchmark and shots; of several runs the first that was measured, of 0 shots the true zero-shot."""
    found: dict[tuple[str, int], dict[str, Cost]] = {}
    for cost in sorted(next((run.costs for run in model.runs if run.costs), []), key=lambda cost: cost.condition == "none"):
        found.setdefault((cost.bench, cost.shots), {})[cost.state] = cost
    return found


def _cell(states: dict[str, Cost]) -> Cell:
    if not states:
        return Cell("–", "")
    tokens = next(iter(states.values())).prompt_tokens
    return Cell(f"{tokens:,.0f} tokens", "; ".join(_said(states)))


def _said(states: dict[str, Cost]) -> Iterator[str]:
    for state, cost in states.items():
        held = "" if cost.peak_mib is None else f", {cost.peak_mib:,.0f} MiB"
        yield f"{state} {1e3 * cost.first_token:,.0f} ms{held}"
