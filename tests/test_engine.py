"""A stage can be killed anywhere and run again: the bytes are those of an uninterrupted run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from curate.engine import MANIFEST, Partition, PartWriter, StageManifest, check_rejected, read_stage, run
from curate.errors import QualityError, StorageError
from curate.settings import Settings
from curate.storage import Folder


class Doubling(Settings):
    pause: float = 0.0


class Double:
    """Doubles numbers; drops multiples of 5 and rejects negative ones."""

    name, version = "double", "1"

    def __init__(self, settings: Doubling | None = None) -> None:
        self.settings = settings or Doubling()

    def setup(self) -> None:
        pass

    def process(self, payload: list[int], part: PartWriter) -> None:
        part.saw(len(payload))
        for number in payload:
            if number < 0:
                part.reject(str(number), "negative")
            elif number % 5 == 0:
                part.drop(str(number), "five")
        time.sleep(self.settings.pause)
        part.table(pa.table({"twice": [2 * n for n in payload if n > 0 and n % 5]}))


def partitions(count: int) -> list[Partition[list[int]]]:
    return [Partition(f"p{i}", list(range(i * 10, i * 10 + 10))) for i in range(count)]


def contents(folder: Path) -> dict[str, bytes]:
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in (".lock", "timings.jsonl")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_counts_drops_and_rejections_stand_in_the_manifest(tmp_path: Path) -> None:
    manifest = run(Double(), [Partition("a", [-1, 1, 5, 7])], Folder.of(tmp_path))
    assert manifest.counts == {"in": 4, "out": 2, "dropped": 1, "rejected": 1}
    assert manifest.rejected == {"negative": 1}
    assert [t["twice"].to_pylist() for t in read_stage(Folder.of(tmp_path))] == [[2, 14]]
    assert (tmp_path / "rejected/part-00000.jsonl").read_text() == '{"detail":"","reason":"negative","record":"-1"}\n'


def test_tallies_are_summed_over_parts_and_survive_a_second_run(tmp_path: Path) -> None:
    class Counted(Double):
        def process(self, payload: list[int], part: PartWriter) -> None:
            super().process(payload, part)
            part.tally("parity", "odd", sum(n % 2 for n in payload))

    first = run(Counted(), partitions(2), Folder.of(tmp_path))
    assert first.tallies == {"parity": {"odd": 10}}
    assert run(Counted(), partitions(2), Folder.of(tmp_path)).digest == first.digest
    assert first.sizes == {name: (tmp_path / name).stat().st_size for name in first.files}


def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    for workers in (1, 4):
        run(Double(), partitions(9), Folder.of(tmp_path / str(workers)), workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")


def test_second_run_does_only_what_is_missing(tmp_path: Path) -> None:
    folder = Folder.of(tmp_path)
    run(Double(), partitions(3), folder)
    (tmp_path / "part-00001.parquet").unlink()
    run(Double(), partitions(4), folder)
    redone = (tmp_path / "timings.jsonl").read_text().splitlines()[3:]
    assert ["part-00001" in line or "part-00003" in line for line in redone] == [True, True]


def test_other_settings_redo_everything_and_fewer_inputs_leave_no_strangers(tmp_path: Path) -> None:
    folder = Folder.of(tmp_path)
    first = run(Double(), partitions(3), folder)
    second = run(Double(Doubling(pause=0.001)), partitions(2), folder)
    assert first.digest != second.digest
    assert sorted(second.files) == [
        n for n in folder.names() if n.endswith((".parquet",)) or "dropped" in n or "rejected" in n
    ]


KILLED = """
import sys; sys.path.insert(0, {here!r})
from test_engine import *
if __name__ == "__main__":
    run(Double(Doubling(pause=0.02)), partitions(30), Folder.of({out!r}), workers={workers})
"""


@pytest.mark.parametrize(("workers", "after"), [(1, 0.9), (1, 1.2), (2, 2.2)])
def test_killed_and_run_again_gives_the_bytes_of_an_uninterrupted_run(tmp_path: Path, workers: int, after: float) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(here=str(Path(__file__).parent), out=str(tmp_path / "out"), workers=workers))
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    stage = Double(Doubling(pause=0.02))
    run(stage, partitions(30), Folder.of(tmp_path / "out"))
    run(stage, partitions(30), Folder.of(tmp_path / "whole"))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_full_disk_is_one_clear_error_and_keeps_finished_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, real = Folder.of(tmp_path), os.fsync
    calls = iter(range(1000))

    def full(descriptor: int) -> None:
        if next(calls) > 5:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        run(Double(), partitions(5), folder)
    assert not (tmp_path / MANIFEST).exists()
    assert not list(tmp_path.rglob(".tmp-*"))
    monkeypatch.setattr(os, "fsync", real)
    run(Double(), partitions(5), folder)
    assert StageManifest.load(folder).counts["in"] == 50


def test_two_processes_cannot_write_one_stage(tmp_path: Path) -> None:
    import fcntl

    tmp_path.mkdir(exist_ok=True)
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="another curate process"):
            run(Double(), partitions(1), Folder.of(tmp_path))


def test_rejected_share_over_the_limit_is_a_quality_error(tmp_path: Path) -> None:
    manifest = run(Double(), [Partition("a", [-1, 1, 2, 3])], Folder.of(tmp_path))
    check_rejected(manifest, 0.25)
    with pytest.raises(QualityError, match="1 of 4 records rejected"):
        check_rejected(manifest, 0.2)


def test_parts_keep_their_order_beyond_a_hundred_thousand() -> None:
    files = {f"part-{number:05d}.parquet": "" for number in (100_000, 99_999, 7)}
    manifest = StageManifest("s", "1", {}, {}, files, {})
    assert manifest.tables() == ["part-00007.parquet", "part-99999.parquet", "part-100000.parquet"]
