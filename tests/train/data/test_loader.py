"""The loader as a trainer uses it: workers, ranks, interruptions, damage and the end of its processes."""

import itertools
import json
import logging
import multiprocessing
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigError, InputError, MemoryLimitError, QualityError
from train.data.lengths import Lengths
from train.data.loader import Loader, LoaderSettings
from train.data.records import Fault, Row
from train.data.state import LoaderState

from .conftest import Made, MakePlan
from .test_reading import NAMES, flip

PLAIN = LoaderSettings(packing=False, batch=5, micro_batch=2, window=7, workers=0, epochs=2, max_faults=1)


class Keys:
    """Assembles the keys of a micro-batch, row by row; faults are left out."""

    def __call__(self, rows: list[Row]) -> list[list[str]]:
        return [[episode.sample.key for episode in row if not isinstance(episode, Fault)] for row in rows]


class DiesAt:
    """A worker that is killed when it meets a key, as the kernel does when memory runs out."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, rows: list[Row]) -> list[list[str]]:
        keys = Keys()(rows)
        if [self.key] in keys:
            os.kill(os.getpid(), signal.SIGKILL)
        return keys


def with_(**changes: Any) -> LoaderSettings:
    return PLAIN.model_copy(update=changes)


def batches(loader: Loader) -> list[Counter[str]]:
    """Keys of every step of a rank."""
    with loader:
        return [Counter(key for micro in step for row in micro for key in row) for step in loader]


def all_ranks(made: Made, world: int, settings: LoaderSettings, states: list[LoaderState] | None = None) -> list[Counter[str]]:
    state = LoaderState.merged(states) if states else None
    ranks = [batches(Loader(made.plan, Keys(), settings, None, rank, world, state)) for rank in range(world)]
    assert len({len(steps) for steps in ranks}) == 1, "ranks differ in steps"
    return [sum(step, Counter()) for step in zip(*ranks, strict=True)]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(make_plan: MakePlan, workers: int) -> None:
    made = make_plan(blocks=[9, 24])
    alone = list(Loader(made.plan, Keys(), PLAIN))
    with Loader(made.plan, Keys(), with_(workers=workers, prefetch=3)) as loader:
        assert list(loader) == alone
    assert sum((Counter(k for m in step for row in m for k in row) for step in alone), Counter()) == dict.fromkeys(
        made.pictures, 2
    )


@pytest.mark.parametrize("world", [2, 3, 8])
def test_ranks_together_have_the_batches_of_one(make_plan: MakePlan, world: int) -> None:
    made = make_plan()
    assert all_ranks(made, world, PLAIN) == all_ranks(made, 1, PLAIN)


def test_every_rank_has_as_many_micro_batches(make_plan: MakePlan) -> None:
    plan = make_plan().plan
    shapes = []
    for rank in range(3):
        shapes.append([[len(micro) for micro in step] for step in Loader(plan, Keys(), PLAIN, None, rank, 3)])
    assert shapes[0] == shapes[1] == shapes[2]


def test_a_run_goes_on_at_another_world_size(make_plan: MakePlan) -> None:
    """Stopped after 4 steps on 2 ranks with workers that had read ahead, then after 3 more on 3 ranks."""
    made = make_plan()
    whole, got = all_ranks(made, 1, PLAIN), []
    state: LoaderState | None = None
    for world, run in ((2, 4), (3, 3), (1, 99)):
        loaders = [Loader(made.plan, Keys(), with_(workers=1), None, rank, world, state) for rank in range(world)]
        for steps in itertools.islice(zip(*loaders, strict=False), run):
            got.append(Counter(key for step in steps for micro in step for row in micro for key in row))
        state = LoaderState.merged([loader.state() for loader in loaders])
        state = LoaderState.of(json.loads(json.dumps(state.as_json())))
        for loader in loaders:
            loader.close()
    assert got == whole
    assert state is not None
    assert (state.step, state.epoch, state.seen) == (len(whole), 2, 48)


def test_the_state_is_a_few_hundred_bytes(make_plan: MakePlan) -> None:
    state = Loader(make_plan().plan, Keys(), PLAIN).state()
    assert len(json.dumps(state.as_json())) < 300


def test_iterating_again_goes_on_behind_the_last_step(make_plan: MakePlan) -> None:
    plan = make_plan().plan
    whole = list(Loader(plan, Keys(), PLAIN))
    with Loader(plan, Keys(), with_(workers=2)) as loader:
        first = list(itertools.islice(loader, 3))
        assert first + list(loader) == whole
        assert list(loader) == []


def test_steps_are_counted_without_reading(make_plan: MakePlan) -> None:
    made = make_plan()
    steps = len(list(Loader(made.plan, Keys(), PLAIN)))
    for name in NAMES:
        os.truncate(made.folder / name, 0)
    assert Loader(made.plan, Keys(), PLAIN).count_steps() == steps == 10


def test_a_corrupt_sample_is_counted_logged_and_skipped_alike_on_any_ranks(make_plan: MakePlan, caplog: Any) -> None:
    made = make_plan()
    whole = all_ranks(made, 1, PLAIN)
    flip(made.folder / NAMES[1], made.plan.places(11)[0].offset)
    lacking = [Counter({key: n for key, n in step.items() if key != "00000011"}) for step in whole]
    for world in (1, 2, 4):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert all_ranks(made, world, PLAIN) == lacking
        said = [record.message for record in caplog.records]
        assert len(said) == 2, "once an epoch"
        assert all("part-00001.tar: sample 00000011 skipped, corrupt" in line for line in said)


def test_a_shard_of_another_size_is_told_once(make_plan: MakePlan, caplog: Any) -> None:
    made = make_plan()
    shard = made.folder / "part-00001.tar"
    shard.write_bytes(shard.read_bytes() + b"more")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            Loader(made.plan, Keys(), PLAIN)
    assert len([record for record in caplog.records if "part-00001.tar" in record.message]) == 1


def test_faults_of_all_ranks_are_in_the_merged_state(make_plan: MakePlan) -> None:
    made = make_plan()
    flip(made.folder / NAMES[1], made.plan.places(11)[0].offset)
    loaders = [Loader(made.plan, Keys(), PLAIN, None, rank, 3) for rank in range(3)]
    for loader in loaders:
        batches(loader)
    merged = LoaderState.merged([loader.state() for loader in loaders])
    assert (merged.seen, merged.faults) == (48, 2)


def test_too_many_faults_stop_the_run(make_plan: MakePlan) -> None:
    made = make_plan()
    for sample in range(3):
        flip(made.folder / NAMES[0], made.plan.places(sample)[0].offset)
    assert len(list(Loader(made.plan, Keys(), with_(max_faults=0.006)))) == 10, "six faults of at least a thousand samples"
    with pytest.raises(QualityError, match="samples were damaged"):
        list(Loader(made.plan, Keys(), with_(max_faults=0.005)))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_goes_wrong_in_a_worker_is_one_line(make_plan: MakePlan, workers: int) -> None:
    made = make_plan()
    loader = Loader(made.plan, Keys(), with_(workers=workers))
    (made.folder / NAMES[0]).unlink()
    with pytest.raises(InputError, match=r"part-00000.tar does not exist; bring the shards back[^\n]*$"), loader:
        list(loader)
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_told_with_what_to_lower(make_plan: MakePlan) -> None:
    with (
        pytest.raises(MemoryLimitError, match="workers"),
        Loader(make_plan().plan, DiesAt("00000013"), with_(workers=2)) as loader,
    ):
        list(loader)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("taken", [0, 1, 4])
def test_stopping_leaves_no_process_and_no_shared_memory(make_plan: MakePlan, taken: int) -> None:
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    with Loader(make_plan().plan, Keys(), with_(workers=2)) as loader:
        for _, _ in zip(range(taken), loader, strict=False):
            assert multiprocessing.active_children()
    assert not multiprocessing.active_children()
    assert (set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()) <= before


@pytest.mark.parametrize(("change", "what"), [({"seed": 1}, "seed"), ({"batch": 6}, "batch"), ({"window": 8}, "window")])
def test_a_state_of_another_order_is_refused(make_plan: MakePlan, change: dict[str, Any], what: str) -> None:
    plan = make_plan().plan
    state = Loader(plan, Keys(), PLAIN).state()
    with pytest.raises(ConfigError, match=what):
        Loader(plan, Keys(), with_(**change), state=state)


def test_a_state_of_another_plan_is_refused(make_plan: MakePlan) -> None:
    state = Loader(make_plan().plan, Keys(), PLAIN).state()
    with pytest.raises(ConfigError, match="the plan changed"):
        Loader(make_plan(samples=21).plan, Keys(), PLAIN, state=state)


@pytest.mark.parametrize("data", [{}, {"step": 3}, {**LoaderState("", "", "", 0, 0, 0, 0).as_json(), "step": "3"}])
def test_a_state_that_is_none_is_refused(make_plan: MakePlan, data: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="loader state"):
        Loader(make_plan().plan, Keys(), PLAIN, state=data)


def test_packing_without_lengths_says_what_to_do(make_plan: MakePlan) -> None:
    with pytest.raises(ConfigError, match="measure"):
        Loader(make_plan().plan, Keys(), with_(packing=True))


@pytest.mark.parametrize(("limits", "what"), [({"max_tokens": 9}, "10 tokens"), ({"max_images": 2}, "3 pictures")])
def test_episodes_longer_than_a_row_are_told_at_the_start(make_plan: MakePlan, limits: dict[str, int], what: str) -> None:
    lengths = Lengths.of({"tokens": [10] * 24, "images": [3] * 24})
    with pytest.raises(ConfigError, match=what):
        Loader(make_plan().plan, Keys(), with_(packing=True, **limits), lengths)


def test_a_plan_of_which_nothing_can_be_used_is_told_at_the_start(make_plan: MakePlan) -> None:
    with pytest.raises(InputError, match="none of the plan's 24 samples"):
        Loader(make_plan().plan, Keys(), PLAIN, Lengths.of({"tokens": [0] * 24}))


@pytest.mark.parametrize("workers", [0, 2])
def test_packed_rows_hold_the_same_samples(make_plan: MakePlan, workers: int) -> None:
    made = make_plan()
    lengths = Lengths.of({"tokens": [at % 7 + 1 for at in range(24)], "images": [at % 4 for at in range(24)]})
    packed = with_(packing=True, max_tokens=12, max_images=6, workers=workers, window=24, epochs=1, batch=3)
    with Loader(made.plan, Keys(), packed, lengths) as loader:
        rows = [row for step in loader for micro in step for row in micro]
    assert sorted(key for row in rows for key in row) == sorted(made.pictures)
    assert max(len(row) for row in rows) > 1


def test_moved_shards_keep_the_state(make_plan: MakePlan, tmp_path: Path) -> None:
    made = make_plan()
    state = Loader(made.plan, Keys(), PLAIN).state()
    away = tmp_path / "elsewhere"
    away.mkdir()
    for name in ("shards", "plan"):
        (tmp_path / name).rename(away / name)
    from curate.shards.plans import Plan

    assert len(list(Loader(Plan.open(away / "plan"), Keys(), PLAIN, state=state))) == 10
