"""How much CPU time the machine grants: containers and schedulers bound it without taking cores out of sight.

The kernel's control groups do it, https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max) and version 1 before
(cpu.cfs_quota_us). A group is bounded by those above it too; in a container only its own may be in sight.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cpu_quota(groups: Path = GROUPS, own: Path = OWN) -> float:
    """The CPUs whose time this process and those beside it in its group may use together; infinite where nothing bounds it."""
    return min(map(_bound, _folders(groups, own)), default=math.inf)


def _folders(groups: Path, own: Path) -> Iterator[Path]:
    """Folders of the groups that this process is in, and of those above them."""
    for line in _text(own).splitlines():  # 4:cpu,cpuacct:/path in version 1, 0::/path in version 2
        kinds, _, path = line.partition(":")[2].partition(":")
        if kinds and "cpu" not in kinds.split(","):
            continue
        top, inner = groups / kinds, Path(path.lstrip("/"))
        yield top
        if ".." not in inner.parts:  # a group beside the one that is in sight
            yield from (top / above for above in (inner, *inner.parents))


def _bound(folder: Path) -> float:
    """CPUs that a group may use."""
    words = _text(folder / "cpu.max") or f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}"
    with suppress(ValueError, ZeroDivisionError):  # "max 100000", or no such files
        quota, period = map(int, words.split())
        return quota / period if quota > 0 else math.inf  # -1 for none in version 1
    return math.inf


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
