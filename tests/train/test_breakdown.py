import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.breakdown import POSITIONS, Breakdown
from train.loss import Targets


class Alone:
    """One rank."""

    first = True

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values.clone()


TOKEN = st.tuples(st.integers(0, 23), st.integers(0, POSITIONS + 3), st.floats(0.1, 9), st.sampled_from([0.25, 0.5, 1.0]))


def targets_of(tokens) -> tuple[Targets, torch.Tensor]:
    samples, turns, losses, weights = (torch.tensor([token[at] for token in tokens]) for at in range(4))
    some = torch.zeros(len(tokens), dtype=torch.int64)
    return Targets(some, some, some, some, weights.float(), samples.long(), turns.long()), losses.double()


def mean(pairs) -> float:
    return sum(loss * weight for loss, weight in pairs) / sum(weight for _, weight in pairs)


@given(st.lists(TOKEN, min_size=1, max_size=40), st.integers(1, 7))
def test_losses_by_source_format_and_position_are_weighted_means(episodes_plan, tokens, size):
    found = Breakdown(episodes_plan, torch.device("cpu"))
    for start in range(0, len(tokens), size):
        found.add(*targets_of(tokens[start : start + size]))
    totals = found.totals(Alone())
    assert totals.tokens == len(tokens)
    assert totals.loss == pytest.approx(mean([(loss, weight) for *_, loss, weight in tokens]))
    by_turn: dict[str, list[tuple[float, float]]] = {}
    for _, turn, loss, weight in tokens:
        by_turn.setdefault(str(min(turn, POSITIONS - 1)), []).append((loss, weight))
    assert {name: one["loss"] for name, one in totals.losses["shots"].items()} == pytest.approx(
        {name: mean(pairs) for name, pairs in by_turn.items()}
    )
    for axis in ("source", "format"):
        names = episodes_plan.samples.column(axis).to_pylist()
        assert sum(one["tokens"] for one in totals.losses[axis].values()) == len(tokens)
        assert set(totals.losses[axis]) == {names[token[0]] for token in tokens}


def test_a_stretch_goes_on_where_it_was_saved(episodes_plan):
    halves = [targets_of([(1, 0, 2.0, 1.0), (2, 1, 3.0, 0.5)]), targets_of([(3, 1, 5.0, 1.0)])]
    whole, first, second = (Breakdown(episodes_plan, torch.device("cpu")) for _ in range(3))
    for half in halves:
        whole.add(*half)
    first.add(*halves[0])
    second.restore(first.state(Alone()), Alone())
    second.add(*halves[1])
    assert vars(second.totals(Alone())) == vars(whole.totals(Alone()))


def test_nothing_counted_is_no_loss(episodes_plan):
    totals = Breakdown(episodes_plan, torch.device("cpu")).totals(Alone())
    assert math.isnan(totals.loss)
    assert totals.tokens == 0
    assert totals.losses == {"source": {}, "format": {}, "shots": {}}
