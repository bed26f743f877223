"""The number of cores that this process may use, from CPU affinity and the cgroup's quota.

The number of cores does not include a container's quota. If processes use more than the quota,
the kernel stops them in the middle of requests until the next period begins.
"""

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def count_usable_cores() -> int:
    """Return the number of cores that this process may use: at least 1, fractions rounded up."""
    cores = len(os.sched_getaffinity(0))
    quota = find_cpu_quota()
    return cores if quota is None else max(1, min(cores, ceil(quota)))


def find_cpu_quota(*, cgroups: Path = CGROUPS, own_cgroups: Path = OWN_CGROUPS) -> float | None:
    """Return the smallest CPU quota of this process's cgroups in cores, or None without one.

    Args:
        cgroups: the folder where the cgroup hierarchies are mounted.
        own_cgroups: the file with this process's path in each hierarchy (cgroups(7)).
    """
    quotas = [
        quota
        for folder in _own_folders(cgroups, own_cgroups)
        for quota in (_read_v2(folder), _read_v1(folder))
        if quota is not None
    ]
    return min(quotas, default=None)


def _own_folders(cgroups: Path, own_cgroups: Path) -> Iterator[Path]:
    """Yield every folder from this process's cgroups up to their mount points.

    Inside a container the mount point is often the container's own cgroup, so it counts even if
    the named path does not exist below it.
    """
    for line in _read(own_cgroups).splitlines():
        _, controllers, path = line.split(":", 2)
        # The line of version 2's single hierarchy names no controller.
        for mount in {cgroups} if not controllers else {cgroups / controllers, cgroups / "cpu"}:
            if controllers and "cpu" not in controllers.split(","):
                continue
            inner = PurePosixPath(path.lstrip("/"))
            yield from (mount / part for part in (inner, *inner.parents))


def _read_v2(folder: Path) -> float | None:
    """Read `cpu.max`, such as `150000 100000` or `max 100000` (cgroup-v2.rst, CPU)."""
    values = _read(folder / "cpu.max").split()
    return _ratio(*values) if len(values) == 2 else None


def _read_v1(folder: Path) -> float | None:
    """Read the two files of version 1; a quota of -1 means no limit (sched-bwc.rst)."""
    return _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> float | None:
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
