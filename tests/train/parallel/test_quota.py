"""A container's share of CPU time is seen, however its control groups show it."""

import math
from pathlib import Path

import pytest

from train.parallel import ranks
from train.parallel.quota import cpu_quota

SEEN = {
    "a container": ({"cpu.max": "200000 100000"}, "0::/", 2),
    "a part of a CPU": ({"cpu.max": "50000 100000"}, "0::/", 0.5),
    "no bound": ({"cpu.max": "max 100000"}, "0::/", math.inf),
    "no groups": ({}, "", math.inf),
    "a service": ({"a.slice/b.service/cpu.max": "300000 100000"}, "0::/a.slice/b.service", 3),
    "the group above": ({"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, "0::/a/b", 1.5),
    "only its own in sight": ({"cpu.max": "400000 100000"}, "0::/docker/0123", 4),
    "one beside": ({"cpu.max": "400000 100000"}, "0::/../other", 4),
    "version 1": ({"cpu,cpuacct/cpu.cfs_quota_us": "250000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
                  "5:memory:/\n4:cpu,cpuacct:/docker/0\n0::/", 2.5),
    "version 1 without a bound": ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "1:cpu:/", math.inf),
    "nonsense": ({"cpu.max": "much"}, "0::/\nwords", math.inf),
}  # fmt: skip


@pytest.mark.parametrize(("files", "own", "expected"), SEEN.values(), ids=SEEN.keys())
def test_the_quota_is_the_narrowest_in_sight(tmp_path: Path, files: dict[str, str], own: str, expected: float) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "own").write_text(own + "\n")
    assert cpu_quota(tmp_path, tmp_path / "own") == expected


def test_threads_stay_within_the_quota_and_ranks_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(64))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for quota, local, threads in ((2.0, "1", 2), (0.5, "1", 1), (7.5, "2", 3), (math.inf, "4", 16)):
        monkeypatch.setattr(ranks, "cpu_quota", lambda quota=quota: quota)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
        assert ranks.own_threads() == threads
