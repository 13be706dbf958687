"""Verification finds every flipped byte and every missing thing, and names shard, member and offset."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from curate.engine import StageManifest
from curate.errors import InputError, IntegrityError
from curate.layout import Run
from curate.shards import Fault, ShardSettings, verify, write_shards
from curate.shards.index import ShardIndex
from curate.shards.tar import BLOCK, padded
from curate.storage import Folder
from pipelines.cli import app

SHARD = "part-00001.tar"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, make_pool: Callable[..., Any]) -> Run:
    """Shards that are whole; tests change copies of them."""
    pool = make_pool(tmp_path_factory.mktemp("sound"))
    run: Run = pool.build([pool.episode(n, 1 + n % 3) for n in range(15)])
    write_shards(run, ShardSettings(max_episodes=4))
    return run


@pytest.fixture
def copy(sound: Run, tmp_path: Path) -> Path:
    shutil.copytree(sound.shards.local(), tmp_path / "shards")
    return tmp_path / "shards"


def test_sound_shards_have_no_fault_wherever_they_lie(sound: Run) -> None:
    assert verify(sound.root.uri) == []
    remote = Folder.of("memory://sound-shards")
    for name in sound.shards.names():
        remote.write(name, sound.shards.read(name))
    assert verify("memory://sound-shards") == []
    remote.write(SHARD, sound.shards.read(SHARD)[:-700])
    assert [fault.file for fault in verify(remote)] == [SHARD]


@given(data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_byte_is_found_with_its_shard_member_and_offset(copy: Path, data: st.DataObject) -> None:
    folder = Folder.of(copy)
    shard = data.draw(st.sampled_from([f"part-0000{i}.tar" for i in range(4)]))
    whole = (copy / shard).read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[position] ^= data.draw(st.integers(1, 255))
    (copy / shard).write_bytes(changed)
    try:
        faults = verify(folder)
    finally:
        (copy / shard).write_bytes(whole)
    owner = _owner(ShardIndex.load(folder, shard), position)
    assert [(fault.file, fault.kind, fault.member) for fault in faults] == [(shard, "damaged", owner)]
    assert faults[0].offset <= position


def _owner(index: ShardIndex, position: int) -> str:
    for member in index.members:
        if position < member.offset + padded(member.size):
            assert position >= member.offset - BLOCK
            return member.name
    return ""


@given(kept=st.floats(0, 0.999))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_shard_is_found_with_the_member_where_it_ends(copy: Path, kept: float) -> None:
    whole = (copy / SHARD).read_bytes()
    length = int(len(whole) * kept)
    (copy / SHARD).write_bytes(whole[:length])
    try:
        faults = verify(copy)
    finally:
        (copy / SHARD).write_bytes(whole)
    assert [(fault.file, fault.kind) for fault in faults] == [(SHARD, "truncated")]
    assert faults[0].member == _owner(ShardIndex.load(Folder.of(copy), SHARD), length)


def test_missing_and_extra_shards_are_found(copy: Path) -> None:
    shutil.copy(copy / SHARD, copy / "part-00009.tar")
    (copy / "part-00000.tar").unlink()
    (copy / "part-00002.index.parquet").unlink()
    found = {(fault.file, fault.kind) for fault in verify(copy)}
    assert found == {("part-00000.tar", "missing"), ("part-00002.index.parquet", "missing"), ("part-00009.tar", "extra")}


def _pack(path: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> None:
    with tarfile.open(path) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    change(members)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_member_that_was_taken_out_is_named(copy: Path, place: int) -> None:
    index = ShardIndex.load(Folder.of(copy), SHARD)
    _pack(copy / SHARD, lambda members: members.pop(place) and None)
    gone = index.members[place]
    assert verify(copy) == [Fault(SHARD, "missing_member", gone.name, gone.offset)]


def test_a_member_that_was_put_in_is_named(copy: Path) -> None:
    _pack(copy / SHARD, lambda members: members.append((tarfile.TarInfo("stranger.txt"), b"")))
    assert verify(copy) == [Fault(SHARD, "extra_member", "stranger.txt")]


@pytest.mark.parametrize("name", ["part-00001.index.parquet", "rejected/part-00000.jsonl"])
def test_damage_of_other_files_is_found(pool: Any, name: str) -> None:
    run = pool.build([pool.episode(n) for n in range(9)])
    run.images.folder.remove(run.images.name_of(pool.image(1).ref))
    write_shards(run, ShardSettings(max_episodes=4))
    path = run.shards.local(name)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert [fault.file for fault in verify(run.shards)] == [name]


def test_a_manifest_that_states_something_else_is_found(copy: Path) -> None:
    manifest = StageManifest.load(Folder.of(copy))
    manifest.parts[0]["out"] += 1
    manifest.counts["out"] += 1
    manifest.save(Folder.of(copy))
    assert [(fault.file, fault.kind) for fault in verify(copy)] == [("part-00000.tar", "mismatch")]
    manifest.counts["out"] += 1
    manifest.save(Folder.of(copy))
    assert "manifest.json" in {fault.file for fault in verify(copy)}


def test_a_shard_and_manifest_that_were_changed_together_still_miss_the_index(copy: Path) -> None:
    data = bytearray((copy / SHARD).read_bytes())
    member = ShardIndex.load(Folder.of(copy), SHARD).members[3]
    data[member.offset] ^= 1
    (copy / SHARD).write_bytes(data)
    shutil.rmtree(copy / "receipts")
    manifest = StageManifest.load(Folder.of(copy))
    manifest.files[SHARD] = hashlib.sha256(data).hexdigest()
    manifest.save(Folder.of(copy))
    assert [fault.member for fault in verify(copy)] == [member.name]


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x00", '{"stage": "shards"}'])
def test_what_is_no_manifest_is_refused_in_one_line(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(InputError):
        verify(copy)


@pytest.mark.parametrize("change", [{"files": {"../../x.tar": "0"}}, {"files": []}, {"parts": ["x"]}, {"counts": 3}])
def test_a_hostile_manifest_is_refused(copy: Path, change: dict[str, Any]) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(IntegrityError):
        verify(copy)


def test_the_command_exits_2_with_a_line_for_every_fault(copy: Path) -> None:
    assert CliRunner().invoke(app, ["shards", "verify", str(copy)]).exit_code == 0
    (copy / SHARD).unlink()
    result = CliRunner().invoke(app, ["shards", "verify", str(copy)])
    assert isinstance(result.exception, IntegrityError)
    assert f"{SHARD}: missing" in result.stderr
    listed = CliRunner().invoke(app, ["shards", "verify", str(copy), "--json"])
    assert json.loads(listed.stdout)["faults"][0]["file"] == SHARD
