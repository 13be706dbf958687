"""Steps: the same global batches for any number of ranks, wherever a run was interrupted, nothing lost or doubled."""

import json
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.shards.plans import Plan, PlanManifest
from curate.storage import Folder
from train.data.lengths import Lengths
from train.data.steps import Cursor, Episodes, RowLimits, Rows, Step, chunks, dealt, steps

LIMITS = RowLimits(max_tokens=100, max_images=6)


class Paper(Plan):
    """A plan that was never written."""

    def __init__(self, order: list[int], blocks: list[int]) -> None:
        super().__init__(Folder.of("nowhere"), PlanManifest(1, 0, {}, (), tuple(blocks), {}))
        self.__dict__["order"] = np.array(order, dtype=np.uint32)


@st.composite
def plans(draw: st.DrawFn) -> tuple[Paper, Lengths]:
    """Plans of a few blocks in which samples repeat, of lengths of which some are unusable."""
    samples = draw(st.integers(1, 40))
    order = draw(st.lists(st.integers(0, samples - 1), min_size=1, max_size=80))
    cuts = draw(st.sets(st.integers(1, len(order)), max_size=4))
    tokens = draw(st.lists(st.integers(0, LIMITS.max_tokens), min_size=samples, max_size=samples))
    images = [length % 5 for length in tokens]
    return Paper(order, sorted(cuts | {len(order)})), lengths(tokens, images)


def lengths(tokens: list[int], images: list[int]) -> Lengths:
    return Lengths.of({"tokens": tokens, "images": images})


def rows_of(plan: Paper, measured: Lengths, seed: int, window: int) -> Rows:
    return Rows(plan, seed, window, measured, LIMITS)


@given(made=plans(), seed=st.integers(0, 9), window=st.integers(1, 30), batch=st.integers(1, 9), epochs=st.integers(1, 3))
def test_an_epoch_serves_every_usable_row_of_the_plan_once(made, seed, window, batch, epochs) -> None:
    plan, measured = made
    served = list(steps(rows_of(plan, measured, seed, window), batch, Cursor(), epochs=epochs))
    usable = Counter(sample for sample in plan.order.tolist() if measured.tokens[sample] > 0)
    assert Counter(s for step in served for row in step.rows for s in row) == Counter(
        {k: n * epochs for k, n in usable.items()}
    )
    assert all(len(step.rows) == batch for step in served[:-1])
    assert [step.number for step in served] == list(range(len(served)))


@given(made=plans(), window=st.integers(1, 30), batch=st.integers(1, 9))
def test_no_row_is_overfull(made, window, batch) -> None:
    plan, measured = made
    for step in steps(rows_of(plan, measured, 0, window), batch, Cursor(), epochs=1):
        for row in step.rows:
            assert sum(measured.tokens[list(row)]) <= LIMITS.max_tokens
            assert sum(measured.images[list(row)]) <= LIMITS.max_images


@settings(max_examples=200)
@given(made=plans(), window=st.integers(1, 30), batch=st.integers(1, 9), data=st.data())
def test_interruptions_and_world_sizes_change_nothing(made, window, batch, data) -> None:
    """Random stops after random steps; each time a new process of another world size goes on from the saved cursor."""
    plan, measured = made
    whole = list(steps(rows_of(plan, measured, 3, window), batch, Cursor(), epochs=2))
    got: list[Counter[Episodes]] = []
    at, number = Cursor(), 0
    while number < len(whole):
        world = data.draw(st.integers(1, 8), label="world size")
        run = data.draw(st.integers(1, 5), label="steps until the interruption")
        fresh = steps(rows_of(plan, measured, 3, window), batch, at, number, epochs=2)
        for step, _ in zip(fresh, range(run), strict=False):
            hands = dealt(step.rows, world, [len(row) for row in step.rows])
            assert len({len(hand) for hand in hands}) == 1, "ranks differ in the number of rows"
            got.append(Counter(row for hand in hands for row in hand if row))
            at, number = Cursor(**json.loads(json.dumps(vars_of(step)))), step.number + 1
    assert got == [Counter(step.rows) for step in whole]


def vars_of(step: Step) -> dict[str, int]:
    return {"epoch": step.after.epoch, "window": step.after.window, "row": step.after.row}


@given(weights=st.lists(st.integers(0, 50), min_size=1, max_size=40), world=st.integers(1, 8))
def test_ranks_get_pictures_alike(weights: list[int], world: int) -> None:
    hands = dealt([(at,) for at in range(len(weights))], world, weights)
    loads = [sum(weights[row[0]] for row in hand if row) for hand in hands]
    assert max(loads) - min(loads) <= max(weights)
    assert [sum(len(c) for c in chunks(hand, 3)) for hand in hands] == [len(hand) for hand in hands]


def test_a_plan_of_unusable_samples_ends_though_it_has_no_end() -> None:
    rows = rows_of(Paper([0, 1], [2]), lengths([0, 0], [0, 0]), 0, 8)
    assert list(steps(rows, 2, Cursor(), epochs=None)) == []


def test_going_on_packs_one_window_only() -> None:
    plan = Paper(list(range(1000)), [1000])
    rows = rows_of(plan, lengths([10] * 1000, [1] * 1000), 0, 10)
    next(steps(rows, 1, Cursor(0, 90, 0), 900, epochs=1))
    assert rows.of.cache_info().misses == 1
