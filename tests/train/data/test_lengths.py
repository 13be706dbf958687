"""Lengths are what rendering gives, measured once, by any number of workers, through any interruption."""

import json
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.errors import InputError, IntegrityError, MemoryLimitError, QualityError, ShotcraftError
from curate.shards.plans import Plan
from curate.storage import Folder
from tests.train.tiny_episodes import mixed_plan, tiny_episode, tiny_plan, tiny_record
from tests.train.tiny_processors import tiny_processor
from train.data import beacon, lengths
from train.data.beacon import Beacon
from train.data.lengths import Lengths, awaited, measure
from train.data.measuring import measured
from train.data.reading import SampleReader
from train.data.records import Loaded
from train.data.rendering import Renderer, RenderSettings


@pytest.fixture
def renderer() -> Renderer:
    return Renderer(tiny_processor("qwen"), RenderSettings(max_tokens=200))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return mixed_plan(Folder.of(tmp_path))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths, "PART", 5)


def test_lengths_are_what_rendering_gives(plan: Plan, renderer: Renderer) -> None:
    found = measure(plan, renderer)
    for read in SampleReader(plan).read(range(len(plan.samples))):
        assert isinstance(read, Loaded)
        expected = measured(renderer.render(read.sample.record))
        assert tuple(int(getattr(found, name)[read.number]) for name in lengths.COLUMNS) == expected
    assert found.shots.max() < 8  # some demonstrations were dropped
    assert found.unusable == {}


def test_measured_once_and_mapped_from_the_disk(plan: Plan, renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Lengths.find(plan, renderer) is None
    first = measure(plan, renderer)
    monkeypatch.setattr(lengths, "_measure_parts", None)  # calling it again would fail
    again = measure(Plan.open(plan.folder), Renderer(renderer.processor, renderer.settings))
    assert same(first, again)
    assert again.digest == first.digest != ""
    assert not again.tokens.flags.owndata
    assert sorted(p.name for p in plan.folder.local().iterdir() if p.is_dir()) == []


def test_other_settings_are_measured_apart(plan: Plan, renderer: Renderer) -> None:
    other = Renderer(renderer.processor, RenderSettings(max_tokens=100))
    assert measure(plan, renderer).digest != measure(plan, other).digest
    assert len(list(plan.folder.local().glob("lengths-*.arrow"))) == 2


def test_workers_change_nothing(tmp_path: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths, "PARTS_A_PROCESS", 1)
    plans = [mixed_plan(Folder.of(tmp_path / name)) for name in ("one", "two")]
    assert measure(plans[0], renderer, workers=1).digest == measure(plans[1], renderer, workers=2).digest


class Deadly(Renderer):
    def render(self, record: Any) -> Any:
        os.kill(os.getpid(), 9)


def test_a_killed_worker_is_one_line(plan: Plan, renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths, "PARTS_A_PROCESS", 1)
    with pytest.raises(MemoryLimitError, match="run again with fewer workers"):
        measure(plan, Deadly(renderer.processor, renderer.settings), workers=2)


def test_an_interruption_costs_one_part(plan: Plan, renderer: Renderer) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(plan, renderer, progress=stop)
    [scratch] = [place for place in plan.folder.local().iterdir() if place.is_dir()]
    (scratch / ".tmp-killed").touch()  # as a killed process leaves it
    heard: list[tuple[int, int]] = []
    found = measure(plan, renderer, progress=lambda done, total: heard.append((done, total)))
    assert heard[0] == (10, 24)
    assert heard[-1] == (24, 24)
    assert (found.tokens > 0).all()
    assert not scratch.exists()


class Full(Exception):
    """What a caller may stop measuring with."""


def test_progress_stops_the_processes_too_and_finished_parts_stay(
    tmp_path: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lengths, "PARTS_A_PROCESS", 1)
    monkeypatch.setattr(lengths, "LISTEN_EVERY", 0.05)
    plan, told = mixed_plan(Folder.of(tmp_path), samples=60), []

    def stop(done: int, total: int) -> None:
        told.append(done)
        if done:
            raise Full

    with pytest.raises(Full) as caught:  # which holds on to the frames
        measure(plan, renderer, workers=2, progress=stop)
    assert told.count(0) > 2  # also while the processes start
    assert multiprocessing.active_children() == []
    [scratch] = [place for place in plan.folder.local().iterdir() if place.is_dir()]
    kept = len(list(scratch.glob("part-*")))
    assert 1 <= kept <= 1 + 2 * lengths.AHEAD < 12
    heard: list[int] = []
    measure(plan, renderer, progress=lambda done, _: heard.append(done))
    assert heard[0] == 5 * kept
    assert caught.type is Full


class Slow(Renderer):
    def render(self, record: Any) -> Any:
        time.sleep(0.02)
        return super().render(record)


@pytest.mark.parametrize("place", ["disk", "memory://bucket/awaited"])
def test_who_waits_has_what_another_measured(tmp_path: Path, renderer: Renderer, place: str) -> None:
    plan = mixed_plan(Folder.of(tmp_path if place == "disk" else place))
    slow = Slow(renderer.processor, renderer.settings)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(awaited, plan, renderer, "a1", every=0.01)
        measured = measure(plan, slow, attempt="a1")
        found = waiting.result(10)
    assert found is not None
    assert found.digest == measured.digest
    assert not [name for name in plan.folder.names() if "measuring" in name]
    assert awaited(plan, renderer, "a2", lambda: True) is not None  # at once, also where nobody measures


def test_who_waits_hears_that_measuring_failed_and_not_that_it_did_before(plan: Plan, renderer: Renderer) -> None:
    def full(done: int, total: int) -> None:
        raise Full("no space left\non the disk")

    with pytest.raises(Full):
        measure(plan, renderer, progress=full, attempt="a1")
    with pytest.raises(ShotcraftError, match="another rank stopped: no space left on the disk"):
        awaited(plan, renderer, "a1")
    assert awaited(plan, renderer, "a2", stop=iter([False, False, True]).__next__, every=0.01) is None
    measure(plan, renderer, attempt="a2")
    assert not [name for name in plan.folder.names() if "measuring" in name]


def test_who_waits_is_patient_while_there_are_signs_of_life_and_no_longer(
    plan: Plan, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beacon, "BEAT", 0.02)
    began = time.monotonic()
    with (
        ThreadPoolExecutor() as threads,
        Beacon(plan.folder, f".lengths-{renderer.digest[:16]}.measuring", "a1"),
    ):
        waiting = threads.submit(awaited, plan, renderer, "a1", lambda: time.monotonic() > began + 1, 0.01, 0.3)
        assert waiting.result(10) is None  # not given up before it was to stop
    with pytest.raises(ShotcraftError, match="no sign"):
        awaited(plan, renderer, "a1", every=0.01, patience=0.1)


def test_another_plan_in_the_same_place_is_measured_anew(tmp_path: Path, renderer: Renderer) -> None:
    measure(mixed_plan(Folder.of(tmp_path), samples=6), renderer)
    assert len(measure(mixed_plan(Folder.of(tmp_path), samples=9), renderer)) == 9


def test_what_cannot_be_used_is_counted_and_written_with_its_place(tmp_path: Path, renderer: Renderer) -> None:
    samples: list[tuple[dict[str, Any], list[bytes]]] = []
    for number in range(12):
        episode, pictures = tiny_episode(number, 1)
        samples.append((tiny_record(episode), pictures))
    samples[3][0]["turns"] = [[0], [7]]
    samples[6][0]["query"]["question"] = "long " * 300
    samples[9][0]["query"]["answer"] = ""
    samples[10][0]["query"]["question"] = "<|im_end|>"
    plan = tiny_plan(Folder.of(tmp_path), samples)
    start = plan.places(1)[0].offset
    shard = tmp_path / "shards" / "part-00000.tar"
    data = bytearray(shard.read_bytes())
    data[start + 5] ^= 1
    shard.write_bytes(data)
    found = measure(plan, renderer)
    assert found.unusable == {"bad_record": 1, "corrupt": 1, "empty_answer": 1, "too_long": 1}
    assert found.neutralised == 1
    assert np.flatnonzero(found.tokens == 0).tolist() == [1, 3, 6, 9]
    [file] = plan.folder.local().glob("lengths-*.unusable.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["sample"], line["shard"], line["reason"]) for line in lines] == [
        (1, "part-00000.tar", "corrupt"),
        (3, "part-00000.tar", "bad_record"),
        (6, "part-00001.tar", "too_long"),
        (9, "part-00001.tar", "empty_answer"),
    ]


def test_shards_that_come_back_sound_are_measured_anew(plan: Plan, renderer: Renderer) -> None:
    kept = {shard: shard.read_bytes() for folder, name, _ in plan.shards for shard in [folder.local(name)]}
    for shard, data in kept.items():
        shard.write_bytes(bytes(len(data)))
    with pytest.raises(InputError, match="corrupt"):
        measure(plan, renderer)
    assert not list(plan.folder.local().glob("*lengths-*"))
    for shard, data in kept.items():
        shard.write_bytes(data)
    assert not measure(plan, renderer).unusable


def test_shards_too_damaged_to_train_on_stop_and_keep_nothing(plan: Plan, renderer: Renderer) -> None:
    """Two of 24 samples: over a share of 0.001 of a thousand, within one of 0.01."""
    for sample in (3, 20):
        folder, name, _ = plan.shards[plan.shard_of(sample)]
        with folder.local(name).open("r+b") as file:
            file.seek(plan.places(sample)[0].offset)
            file.write(b"!")
    with pytest.raises(QualityError, match="2 of 24 samples"):
        measure(plan, renderer, max_faults=0.001)
    assert not [name for name in plan.folder.names() if name.startswith(("lengths", ".lengths-"))]
    assert measure(plan, renderer).unusable == {"corrupt": 2}


def test_a_damaged_file_says_what_to_do(plan: Plan, renderer: Renderer) -> None:
    measure(plan, renderer)
    [file] = plan.folder.local().glob("lengths-*.arrow")
    file.write_bytes(b"ARROW1 no")
    with pytest.raises(IntegrityError, match="remove it and measure again"):
        measure(plan, renderer)


def test_a_plan_in_an_object_store_keeps_its_lengths_there(plan: Plan, renderer: Renderer) -> None:
    place = Folder.of("memory://bucket/measured")
    remote = mixed_plan(place)
    assert same(measure(remote, renderer), measure(plan, renderer))
    assert any(name.startswith("lengths-") for name in (place / "plan").names())
    assert same(measure(Plan.open(place / "plan"), renderer), measure(plan, renderer))


def same(one: Lengths, other: Lengths) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in lengths.COLUMNS)
