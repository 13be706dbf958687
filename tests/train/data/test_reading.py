"""Samples by offset: the bytes that were written, or a fault that says where."""

import http.server
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest

from curate.errors import InputError, StorageError
from curate.shards.plans import Plan
from curate.storage import Folder
from train.data import reading
from train.data.reading import SampleReader, check_shards
from train.data.records import Fault, Loaded

from .conftest import Made, MakePlan, plan_over

NAMES = [f"part-{shard:05d}.tar" for shard in range(3)]


def test_every_sample_comes_as_it_was_written(make_plan: MakePlan) -> None:
    made = make_plan()
    for at, loaded in enumerate(SampleReader(made.plan).read(range(24))):
        assert isinstance(loaded, Loaded)
        assert loaded.number == at
        assert loaded.sample.record == {"key": f"{at:08d}"}
        assert loaded.sample.images == made.pictures[loaded.sample.key]


def test_samples_come_in_the_order_asked_for_and_as_often(make_plan: MakePlan) -> None:
    asked = [20, 3, 3, 11, 0]
    found = SampleReader(make_plan().plan).read(asked)
    assert [loaded.number for loaded in found if isinstance(loaded, Loaded)] == asked


@pytest.mark.parametrize("member", [0, 1])
def test_a_flipped_byte_is_a_fault_of_its_sample_alone(make_plan: MakePlan, member: int) -> None:
    made = make_plan()
    places = made.plan.places(5)
    flip(made.folder / NAMES[0], places[member].offset + 3)
    found = SampleReader(made.plan).read(range(24))
    faults = [each for each in found if isinstance(each, Fault)]
    assert [(fault.sample, fault.key, fault.shard, fault.reason) for fault in faults] == [(5, "00000005", NAMES[0], "corrupt")]
    assert str(places[member].offset) in str(faults[0])


def test_a_truncated_shard_costs_the_samples_behind_the_cut(make_plan: MakePlan) -> None:
    made = make_plan()
    cut = made.plan.places(12)[0].offset  # the fifth sample of the second shard
    os.truncate(made.folder / NAMES[1], cut)
    reasons = [each.reason if isinstance(each, Fault) else "" for each in SampleReader(made.plan).read(range(24))]
    assert reasons == [""] * 12 + ["truncated"] * 4 + [""] * 8
    assert len(check_shards(made.plan)) == 1


def test_a_missing_shard_stops_before_any_work(make_plan: MakePlan) -> None:
    made = make_plan()
    (made.folder / NAMES[2]).unlink()
    with pytest.raises(InputError, match=r"part-00002\.tar does not exist"):
        check_shards(made.plan)
    with pytest.raises(InputError, match=r"part-00002\.tar does not exist"):
        SampleReader(made.plan).read([23])


def test_a_pipe_in_a_shards_place_is_refused_not_waited_for(make_plan: MakePlan) -> None:
    made = make_plan()
    (made.folder / NAMES[2]).unlink()
    os.mkfifo(made.folder / NAMES[2])
    with pytest.raises(InputError, match="not a regular file"):
        SampleReader(made.plan).read([23])


def open_shards() -> int:
    """Tars that this process holds open."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.readlink(link).endswith(".tar") for link in links if os.path.lexists(link))


def test_only_a_few_shards_stay_open(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "OPEN_SHARDS", 1)
    reader = SampleReader(make_plan().plan)
    for _ in range(3):
        assert all(isinstance(each, Loaded) for each in reader.read([0, 9, 23, 1]))
    assert open_shards() == 1
    reader.close()
    assert open_shards() == 0


def test_an_object_store_gives_the_same(make_plan: MakePlan) -> None:
    made = make_plan()
    remote = fsspec.filesystem("memory")
    remote.put(str(made.folder), "/bucket/shards", recursive=True)
    plan = plan_over(Folder.of(made.folder), NAMES, place="memory://bucket/shards", at=made.plan.folder)
    assert check_shards(plan) == []
    assert pictures_of(plan) == made.pictures


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A file server that honours Range (unless told not to), fails the first `failures` requests, and counts what it sends."""

    failures = 0
    sent = 0
    honours = True

    def do_GET(self) -> None:
        cls = type(self)
        if cls.failures:
            cls.failures -= 1
            self.send_error(503)
            return
        wanted = self.headers.get("Range") if cls.honours else None
        data = Path(self.translate_path(self.path)).read_bytes()
        first, _, last = (wanted or f"bytes=0-{len(data) - 1}").removeprefix("bytes=").partition("-")
        piece = data[int(first) : int(last) + 1]
        cls.sent += len(piece)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(piece)))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        self.wfile.write(piece)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def served(make_plan: MakePlan) -> Iterator[tuple[Made, Plan]]:
    made = make_plan()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(made.folder.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = f"http://127.0.0.1:{server.server_address[1]}/shards"
    yield made, plan_over(Folder.of(made.folder), NAMES, place=where, at=made.plan.folder)
    server.shutdown()


def test_a_web_server_is_asked_for_the_samples_bytes_only(served: tuple[Made, Plan]) -> None:
    made, plan = served
    Ranges.sent = 0
    found = SampleReader(plan).read([7, 19])
    assert [each.sample.images for each in found if isinstance(each, Loaded)] == [
        made.pictures[k] for k in ("00000007", "00000019")
    ]
    spans = [plan.places(number) for number in (7, 19)]
    assert Ranges.sent == sum(span[-1].offset + span[-1].size - span[0].offset for span in spans)


def test_a_server_that_stumbles_is_asked_again(served: tuple[Made, Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FIRST_PAUSE", 0.01)
    made, plan = served
    Ranges.failures = 2
    assert pictures_of(plan) == made.pictures
    Ranges.failures = 10_000
    with pytest.raises(StorageError, match="run again"):
        SampleReader(plan).read([1])
    Ranges.failures = 0


def test_a_server_without_ranges_is_told_apart_from_damage(served: tuple[Made, Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ranges, "honours", False)
    with pytest.raises(StorageError, match="byte ranges"):
        SampleReader(served[1]).read([7])


def pictures_of(plan: Plan) -> dict[str, tuple[bytes, ...]]:
    found = SampleReader(plan).read(range(24))
    return {each.sample.key: each.sample.images for each in found if isinstance(each, Loaded)}


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))
