"""A checkpoint holds what the training was when it was saved, and training does not wait for the disk."""

import json
import pickle
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from curate.errors import StorageError
from tests.train.checkpoint.small_nets import adamw, checkpoints, equal, prepared, saved, state, take_step
from train.checkpoint import saving


def test_what_is_restored_is_what_was_saved_bit_for_bit(tmp_path: Path) -> None:
    net, optimizer = saved(tmp_path, 3)
    fresh = prepared()
    again = adamw(fresh)
    progress = checkpoints(tmp_path).restore(fresh, again)
    assert progress == {"step": 3}
    assert equal(state(fresh, again), state(net, optimizer))
    for number in (4, 5):
        take_step(net, optimizer, number)
        take_step(fresh, again, number)
    assert equal(state(fresh, again), state(net, optimizer))


def test_settings_of_the_optimiser_come_from_the_run_not_from_the_checkpoint(tmp_path: Path) -> None:
    saved(tmp_path)
    fresh = prepared()
    again = adamw(fresh)
    again.param_groups[0]["lr"] = 0.125
    checkpoints(tmp_path).restore(fresh, again)
    assert again.param_groups[0]["lr"] == 0.125


def test_weights_alone_can_be_restored(tmp_path: Path) -> None:
    net, _ = saved(tmp_path)
    fresh = prepared()
    checkpoints(tmp_path).restore(fresh, None)
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in net.state_dict().items())


def test_frozen_weights_and_scratch_buffers_are_left_out_and_tied_ones_stand_once(tmp_path: Path) -> None:
    saved(tmp_path)
    names = set(load_file(tmp_path / "step-00000001/rank-00000.safetensors"))
    assert {"model/words.weight", "model/norm.running_mean", "model/adapted.lora_A.default.weight"} <= names
    assert "optim/words.weight/exp_avg_sq" in names
    assert not {"model/tower.weight", "model/head.weight", "model/scratch", "model/adapted.base_layer.weight"} & names


def test_nothing_is_pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    for name in ("load", "save"):
        monkeypatch.setattr(torch, name, refuse)
    saved(tmp_path)
    fresh = prepared(lora=True)
    checkpoints(tmp_path).restore(fresh, adamw(fresh))
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json", ".safetensors"}


def test_saving_returns_before_the_disk_has_it_and_keeps_the_state_of_that_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, write = threading.Event(), saving.write_shard
    monkeypatch.setattr(saving, "write_shard", lambda *args: gate.wait(20) and write(*args))
    net = prepared()
    optimizer, keeper = adamw(net), checkpoints(tmp_path)
    take_step(net, optimizer, 1)
    before = state(net, optimizer)
    keeper.save(1, net, optimizer, {}, {})
    assert keeper.latest() is None
    take_step(net, optimizer, 2)
    gate.set()
    keeper.wait()
    fresh = prepared()
    again = adamw(fresh)
    keeper.restore(fresh, again)
    assert equal(state(fresh, again), before)


def test_a_save_waits_for_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, together, write = [], [], saving.write_shard

    def watched(*args: object) -> object:
        running.append(1)
        together.append(len(running))
        entry = write(*args)  # type: ignore[arg-type]
        running.pop()
        return entry

    monkeypatch.setattr(saving, "write_shard", watched)
    saved(tmp_path, 4)
    assert together == [1, 1, 1, 1]


@pytest.mark.parametrize("background", [True, False])
def test_an_error_behind_training_comes_out_once_and_the_older_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    net, optimizer = saved(tmp_path)
    keeper = checkpoints(tmp_path, background=background)

    def full(*_: object) -> None:
        raise StorageError("no space left")

    monkeypatch.setattr(saving, "write_shard", full)
    if background:
        keeper.save(2, net, optimizer, {}, {})
    with pytest.raises(StorageError, match="no space left"):
        keeper.save(3, net, optimizer, {}, {})
    keeper.wait()
    assert keeper.latest() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_file_that_may_not_grow_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    net, optimizer = saved(tmp_path)
    keeper = checkpoints(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        keeper.save(2, net, optimizer, {}, {})
        with pytest.raises(StorageError, match="ulimit"):
            keeper.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert keeper.latest() == 1


def test_a_full_disk_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from curate.errors import StorageError
from tests.train.checkpoint.small_nets import saved
try:
    saved(Path(sys.argv[1]), 50, lora=False, keep=50)
except StorageError as error:
    print(error)
    print(sorted(path.name[:4] for path in Path(sys.argv[1]).iterdir())[-1], len(list(Path(sys.argv[1]).iterdir())))
"""
    mount = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', str(tmp_path)]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets no user mount a small disk")
    told = subprocess.run([*mount, sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    message, listed = told.stdout.splitlines()
    assert "no space left" in message
    assert listed.startswith("step")  # earlier ones stay, no half one does


def test_progress_must_be_json_and_figures_may_be_anything(tmp_path: Path) -> None:
    net = prepared()
    keeper = checkpoints(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        keeper.save(1, net, None, {"loss": float("nan")}, {})
    keeper.save(1, net, None, {}, {"loss": float("nan"), "lr": 0.5})
    keeper.wait()
    manifest = json.loads((tmp_path / "step-00000001/checkpoint.json").read_text())
    assert manifest["figures"] == {"loss": None, "lr": 0.5}
