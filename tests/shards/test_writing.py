"""Shards are the same bytes on every machine, bounded in size, and lose nothing but what is broken."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import InputError, StorageError
from curate.layout import Run
from curate.schema import Episode, as_json, from_json, to_table
from curate.shards.planning import BYTES_PER_EPISODE, BYTES_PER_IMAGE, ShardSettings, json_bounds, plan
from curate.shards.tar import END, header, member_names
from curate.shards.writing import Pictures, sample_members, write_shards

SMALL = ShardSettings(max_episodes=6)


def contents(folder: Path) -> dict[str, bytes]:
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in (".lock", "timings.jsonl")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@given(name=st.text("abcdefgh.0123456789", min_size=1, max_size=100), size=st.integers(0, 8**11 - 1))
def test_headers_are_those_of_the_standard_library_with_fixed_metadata(name: str, size: int) -> None:
    expected = tarfile.TarInfo(name)
    expected.size, expected.mtime, expected.mode = size, 0, 0o644
    assert header(name, size) == expected.tobuf(tarfile.USTAR_FORMAT)


def test_a_sample_is_its_json_and_then_its_pictures_in_order_of_appearance(mixed_run: Run) -> None:
    write_shards(mixed_run, SMALL)
    episodes = list(mixed_run.built_episodes())
    with tarfile.open(mixed_run.shards.local("part-00000.tar")) as tar:
        members = tar.getmembers()
        data = {m.name: tar.extractfile(m).read() for m in members}  # type: ignore[union-attr]
    assert {(m.mtime, m.uid, m.gid, m.mode, m.uname, m.gname) for m in members} == {(0, 0, 0, 0o644, "", "")}
    record = json.loads(data["00000000.json"])
    assert from_json(Episode, record) == episodes[0]
    shots = [*episodes[0].demonstrations, episodes[0].query]
    refs = [image.ref for shot in shots for image in shot.images]
    names = [f"00000000.{i}.{ref.rpartition('.')[2]}" for i, ref in enumerate(refs)]
    assert [m.name for m in members][: len(refs) + 1] == ["00000000.json", *names]
    assert [data[name] for name in names] == [mixed_run.images.get(ref) for ref in refs]
    assert record["images"] == len(refs)
    assert record["members"] == [name.partition(".")[2] for name in names]
    assert record["turns"] == [[0, 1], [2, 3]]


def test_bytes_do_not_depend_on_workers_or_on_how_often_it_ran(mixed_run: Run) -> None:
    first = write_shards(mixed_run, SMALL)
    here = contents(mixed_run.shards.local())
    assert first.counts == {"in": 20, "out": 20, "dropped": 0, "rejected": 0}
    for name in mixed_run.shards.names():
        mixed_run.shards.remove(name)
    write_shards(mixed_run, SMALL, workers=4)
    assert contents(mixed_run.shards.local()) == here


def test_the_index_gives_every_member_and_the_manifest_counts_them(mixed_run: Run) -> None:
    manifest = write_shards(mixed_run, SMALL)
    shards = [name for name in manifest.files if name.endswith(".tar")]
    assert shards == [f"part-0000{i}.tar" for i in range(4)]
    seen = 0
    for name in shards:
        tar = mixed_run.shards.read(name)
        rows = pq.read_table(io.BytesIO(mixed_run.shards.read(name.replace(".tar", ".index.parquet")))).to_pylist()
        assert [f"{r['key']}.{r['member']}" for r in rows] == member_names(io.BytesIO(tar))[0]
        assert tar.endswith(END)
        seen += len(rows)
    assert sum(manifest.tallies["member"].values()) == seen
    assert manifest.tallies["shots"] == {"1": 7, "2": 7, "4": 6}
    assert manifest.tallies["format"] == {"caption": 6, "multiple_choice": 7, "open_qa": 7}
    assert manifest.tallies["licence"] == {"CC0-1.0": 20}


def test_an_episode_without_its_picture_is_rejected_and_the_others_are_there(mixed_run: Run) -> None:
    episodes = list(mixed_run.built_episodes())
    gone, hurt = episodes[3].query.images[0].ref, episodes[4].query.images[0].ref
    mixed_run.images.folder.remove(mixed_run.images.name_of(gone))
    path = mixed_run.images.folder.local(mixed_run.images.name_of(hurt))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    without = {e.id for e in episodes if gone in str(as_json(e)) or hurt in str(as_json(e))}
    manifest = write_shards(mixed_run, SMALL)
    assert manifest.counts["rejected"] == len(without)
    assert set(manifest.rejected) == {"image_missing", "image_damaged"}
    assert manifest.counts["in"] == manifest.counts["out"] + manifest.counts["rejected"]


def test_a_picture_that_comes_back_makes_its_shard_anew(mixed_run: Run) -> None:
    whole = write_shards(mixed_run, SMALL)
    ref = next(mixed_run.built_episodes()).query.images[0].ref
    data = mixed_run.images.get(ref)
    mixed_run.images.folder.remove(mixed_run.images.name_of(ref))
    assert write_shards(mixed_run, SMALL).rejected["image_missing"] > 0
    mixed_run.images.put(data, ref.partition(".")[2])
    assert write_shards(mixed_run, SMALL).files == whole.files


def test_a_shard_whose_episodes_are_all_broken_is_not_written(mixed_run: Run) -> None:
    for name in mixed_run.images.folder.names():
        mixed_run.images.folder.remove(name)
    manifest = write_shards(mixed_run, SMALL)
    assert manifest.counts == {"in": 20, "out": 0, "dropped": 0, "rejected": 20}
    assert not [name for name in manifest.files if name.endswith(".tar")]


@pytest.mark.parametrize("ref", ["../../etc/passwd", "0" * 64 + ".exe", "", "0" * 64])
def test_a_ref_that_is_no_ref_never_reaches_the_disk(pool: Any, ref: str) -> None:
    episode = pool.episode(0)
    bad = replace(episode.query, images=(replace(episode.query.images[0], ref=ref),))
    pool.build([pool.episode(1), replace(episode, query=bad)])
    manifest = write_shards(pool.run)
    assert manifest.rejected == {"bad_image_ref": 1}
    assert manifest.counts["out"] == 1


def test_a_similarity_that_json_cannot_hold_is_rejected(pool: Any) -> None:
    episode = pool.episode(0)
    bad = replace(episode, demonstrations=(replace(episode.demonstrations[0], similarity=float("nan")),))
    pool.build([bad, pool.episode(1)])
    assert write_shards(pool.run).rejected == {"not_a_number": 1}


@given(texts=st.lists(st.text(), min_size=1, max_size=4), similarity=st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_is_longer_than_its_planned_bound(pool: Any, texts: list[str], similarity: float) -> None:
    safe = [text.encode("utf-8", "replace").decode() for text in texts]
    shot = replace(pool.shot(1), question=safe[0], options=tuple(safe), similarity=similarity)
    episode = replace(pool.episode(0), demonstrations=(shot,) * len(safe), concept=safe[-1], seed=-(2**63))
    table = to_table([episode, pool.episode(1)], Episode)
    for row, bound in zip(table.to_pylist(), json_bounds(table), strict=True):
        members = sample_members(row, Pictures(pool.run.images))
        assert len(members[0][1]) <= bound + BYTES_PER_EPISODE + BYTES_PER_IMAGE * (len(members) - 1)


def test_no_shard_passes_its_limit_and_none_is_needlessly_small(mixed_run: Run) -> None:
    limited = ShardSettings(max_mb=0.03)
    plans = plan(mixed_run.episodes, mixed_run.images, limited)
    write_shards(mixed_run, limited)
    sizes = [mixed_run.shards.size(f"part-{i:05d}.tar") for i in range(len(plans))]
    assert len(sizes) > 3
    assert max(sizes) <= 30_000
    assert all(size <= shard.bound for size, shard in zip(sizes, plans, strict=True))
    assert sum(sizes) > 0.6 * sum(shard.bound for shard in plans)


@pytest.mark.parametrize("after", [0.0, 0.2, 0.5])
def test_killed_and_run_again_gives_the_bytes_of_an_uninterrupted_run(mixed_run: Run, tmp_path: Path, after: float) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "shards", "write", mixed_run.root.uri, "--max-episodes", "1", "-j", "1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not mixed_run.shards.local("receipts").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    time.sleep(after * 0.1)
    process.kill()
    process.wait()
    one = ShardSettings(max_episodes=1)
    write_shards(mixed_run, one)
    again = contents(mixed_run.shards.local())
    for name in mixed_run.shards.names():
        mixed_run.shards.remove(name)
    write_shards(mixed_run, one)
    assert contents(mixed_run.shards.local()) == again


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_half_written(
    mixed_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, iter(range(1000))

    def full(descriptor: int) -> None:
        if next(calls) > 3:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        write_shards(mixed_run, SMALL)
    assert not mixed_run.shards.exists("manifest.json")
    assert not list(mixed_run.shards.local().rglob(".tmp-*"))
    monkeypatch.setattr(os, "fsync", real)
    assert write_shards(mixed_run, SMALL).counts["out"] == 20


def test_no_episodes_and_foreign_tables_are_named(pool: Any) -> None:
    with pytest.raises(InputError, match="no finished stage"):
        write_shards(pool.run)
    pool.build([])
    with pytest.raises(InputError, match="holds no episode"):
        write_shards(pool.run)
