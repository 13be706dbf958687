"""Materialised shards hold a plan's samples in its order, byte for byte, and are shards like any other."""

from collections.abc import Callable
from pathlib import Path

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from curate.engine import StageManifest
from curate.layout import Run
from curate.mixture.build import mixing, stale_shards
from curate.mixture.diff import diff
from curate.mixture.materialise import materialise, sample_bytes, stretches
from curate.shards import ShardSettings, read, verify
from curate.shards.plans import Plan
from curate.shards.tar import END
from curate.storage import Folder
from tests.mixture.small_runs import planned, spec_of, varied_run

COURSE = {"blocks": 3, "schedules": [{"axis": "shots", "path": [0, 1, 2, 4]}]}
SMALL = ShardSettings(max_mb=0.03)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., bytes]) -> Run:
    return varied_run(tmp_path_factory.mktemp("materialise") / "run", picture, 24)


def repeated(run: Run, folder: Path) -> Plan:
    """A plan in which samples repeat."""
    quotas = [{"axis": "format", "shares": {"caption": 3, "open_qa": 1}}]
    return planned(spec_of(run, max_repeats=3, quotas=quotas, curriculum=COURSE), folder)


def test_the_same_samples_in_plan_order_byte_for_byte(run: Run, tmp_path: Path) -> None:
    plan = repeated(run, tmp_path)
    assert len(plan) > len(plan.samples)
    manifest = materialise(plan, SMALL)
    originals = {sample.key: sample for sample in read(run.root)}
    made = list(read(tmp_path))
    assert [sample.key for sample in made] == [f"{place:08d}" for place in range(len(plan))]
    for number, sample in zip(plan.order, made, strict=True):
        original = originals[plan.key(int(number))]
        assert (sample.json, sample.images, sample.suffixes) == (original.json, original.images, original.suffixes)
    assert manifest.counts == {"in": len(plan), "out": len(plan), "dropped": 0, "rejected": 0}
    assert all(size <= 30_000 for name, size in manifest.sizes.items() if name.endswith(".tar"))


def test_verify_and_plain_webdataset_take_them(run: Run, tmp_path: Path) -> None:
    plan = repeated(run, tmp_path)
    materialise(plan, SMALL)
    assert verify(tmp_path) == []
    tars = sorted(str(path) for path in (tmp_path / "shards").glob("*.tar"))
    rows = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert [row["__key__"] for row in rows] == [f"{place:08d}" for place in range(len(plan))]


def test_a_killed_run_goes_on_and_workers_do_not_show(run: Run, tmp_path: Path) -> None:
    plan = repeated(run, tmp_path / "a")
    whole = materialise(plan, SMALL)
    shards = Folder.of(tmp_path / "a" / "shards")
    shards.remove("manifest.json")
    shards.remove("receipts/part-00001.json")
    before = shards.local("part-00000.tar").stat().st_mtime_ns
    assert materialise(plan, SMALL).digest == whole.digest
    assert shards.local("part-00000.tar").stat().st_mtime_ns == before
    assert materialise(repeated(run, tmp_path / "b"), SMALL, workers=2).digest == whole.digest


def test_they_are_a_source_like_any_other_and_differ_in_nothing(run: Run, tmp_path: Path) -> None:
    plan = repeated(run, tmp_path / "plan")
    materialise(plan)
    copy = planned(spec_of(tmp_path / "plan"), tmp_path / "copy")
    found = diff(plan, copy)
    assert found.same_samples
    assert (found.only_a, found.only_b, found.repeated) == (0, 0, 0)


def test_a_sample_that_is_damaged_in_its_source_is_rejected(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    run = varied_run(tmp_path / "run", picture, 7)
    plan = planned(spec_of(run), tmp_path / "plan")
    shard = run.shards.local("part-00000.tar")
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    manifest = materialise(plan)
    assert manifest.rejected == {"damaged": 1}
    assert len(list(read(tmp_path / "plan"))) == 6
    assert verify(tmp_path / "plan") == []


def test_shards_of_another_plan_are_told(run: Run, tmp_path: Path) -> None:
    plan = repeated(run, tmp_path)
    materialise(plan)
    assert StageManifest.load(Folder.of(tmp_path / "shards")).inputs == {"plan": plan.digest}
    assert not stale_shards(plan)
    other = planned(spec_of(run, size=5), tmp_path, mixing(Folder.of(tmp_path)))
    assert stale_shards(other)
    materialise(other)
    assert len(list(read(tmp_path))) == 5


def test_shards_in_an_object_store_give_the_same_bytes(run: Run, tmp_path: Path) -> None:
    store = Folder.of("memory://materialise/shards")
    for name in run.shards.names():
        store.write(name, run.shards.read(name))
    near, far = (planned(spec_of(place), tmp_path / name) for name, place in (("near", run), ("far", store.uri)))
    assert near.digest == far.digest
    assert far.manifest.sources[0].place == store.uri
    assert materialise(near).digest == materialise(far).digest


def test_sizes_are_those_of_the_tar(run: Run, tmp_path: Path) -> None:
    plan = repeated(run, tmp_path)
    manifest = materialise(plan)
    assert sum(manifest.sizes[name] for name in manifest.tables(".tar")) == int(sample_bytes(plan).sum()) + len(END)


@given(st.lists(st.integers(512, 5_000_000), max_size=50), st.integers(0, 7))
def test_stretches_cover_the_plan_once_and_keep_their_limits(sizes: list[int], most: int) -> None:
    import numpy as np

    settings = ShardSettings(max_mb=6, max_episodes=most)
    found = list(stretches(np.array(sizes, np.int64), settings))
    assert [place for stretch in found for place in range(stretch.start, stretch.stop)] == list(range(len(sizes)))
    for stretch in found:
        held = sizes[stretch.start : stretch.stop]
        assert len(held) == 1 or sum(held) + len(END) <= 6_000_000
        assert not most or len(held) <= most
