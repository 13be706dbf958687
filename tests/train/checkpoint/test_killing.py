"""kill -9 at any moment: what was there before can still be loaded, and what was half-written is ignored and cleaned."""

import os
import random
import signal
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.train.checkpoint.small_nets import checkpoints
from tests.train.parallel.two_ranks import PRELOADED

MOMENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree"}


def _net(value: float) -> tuple[nn.Linear, torch.optim.AdamW]:
    """A net and an optimiser whose every number is `value`."""
    net = nn.Linear(50, 50)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.zeros(1, 50)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        for tensor in (*net.parameters(), *(v for s in optimizer.state.values() for v in s.values())):
            tensor.fill_(value)
    return net, optimizer


def _keep_saving(folder: Path, done: Any) -> None:
    """Saves steps 1, 2, 3, ... until it is killed; says which ones are in place."""
    keeper = checkpoints(folder, keep=2)
    step = keeper.latest() or 0
    done.value = step
    while True:
        step += 1
        keeper.save(step, *_net(float(step)), {"step": step}, {"loss": -float(step)})
        keeper.wait()
        done.value = step


def _die_at(folder: Path, step: int, moment: int, done: Any) -> None:
    """Saves a step, and is killed just before its `moment`-th touch of the disk."""
    keeper = checkpoints(folder, keep=2)
    net = _net(float(step))
    touched = 0

    def count(event: str, args: tuple[object, ...]) -> None:
        nonlocal touched
        if event in MOMENTS and (str(folder) in str(args[0]) or not str(args[0]).startswith("/")):  # not importing modules
            touched += 1
            if touched > moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    keeper.save(step, *net, {"step": step}, {})
    keeper.wait()
    done.value = 1


def _start(function: Any, *args: Any) -> Any:
    context = get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, "tests.train.checkpoint.test_killing"])
    process = context.Process(target=function, args=args, daemon=True)
    process.start()
    return process


def _check(folder: Path, at_least: int) -> int:
    """The step that a new process finds, whose every number must be that step's."""
    keeper = checkpoints(folder)
    assert not list(folder.glob(".tmp*"))
    step = keeper.latest()
    assert step is not None
    assert step >= at_least
    net, optimizer = _net(0.0)
    assert keeper.restore(net, optimizer) == {"step": step}
    values = [*net.parameters(), *(v for s in optimizer.state.values() for v in s.values())]
    assert all(bool((tensor == float(step)).all()) for tensor in values)
    return step


def test_killed_at_random_moments_of_saving(tmp_path: Path) -> None:
    dice = random.Random(os.urandom(4))
    done, last = get_context("forkserver").Value("q", 0), 0
    for _ in range(5):
        process = _start(_keep_saving, tmp_path, done)
        began, first = time.monotonic(), done.value
        while done.value <= first and time.monotonic() - began < 30:
            time.sleep(0.001)
        time.sleep(dice.random() * 0.05)
        process.kill()
        process.join()
        last = _check(tmp_path, at_least=max(last, done.value))
        done.value = last
    assert last >= 5


@pytest.mark.parametrize(("there", "step"), [((1, 2), 3), ((2,), 2)])
def test_killed_before_each_touch_of_the_disk(tmp_path: Path, there: tuple[int, ...], step: int) -> None:
    """Saving a third step, whereupon the first goes; and saving the only one again."""
    done, moment, found = get_context("forkserver").Value("q", 0), 0, []
    while not done.value:
        folder = tmp_path / str(moment)
        keeper = checkpoints(folder, keep=2)
        for old in there:
            keeper.save(old, *_net(float(old)), {"step": old}, {})
        keeper.wait()
        process = _start(_die_at, folder, step, moment, done)
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        found.append(_check(folder, at_least=2))
        moment += 1
    assert found == sorted(found)  # first the old one, from some moment on the new one
    assert {2, step} == set(found)
    assert len(found) > 8


@pytest.mark.parametrize("step", [1, 2])
def test_a_step_that_is_saved_again_leaves_one_that_can_be_loaded(tmp_path: Path, step: int) -> None:
    keeper = checkpoints(tmp_path, keep=3)
    for number in (1, 2):
        keeper.save(number, *_net(float(number)), {"step": number}, {})
    keeper.save(step, *_net(float(step)), {"step": step}, {})
    keeper.wait()
    assert _check(tmp_path, at_least=1) == step
