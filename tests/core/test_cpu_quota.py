"""The CPU quota of a container, in both versions of cgroups."""

from pathlib import Path

import pytest

from authserve.core import cpu_quota
from authserve.core.cpu_quota import count_usable_cores, find_cpu_quota

HYBRID = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n"

CASES = {
    "none": ("0::/\n", {}, None),
    "version 2, no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, None),
    "version 2, in the container": ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
    "version 2, the smallest of all above": (
        "0::/system.slice/web.service\n",
        {
            "system.slice/web.service/cpu.max": "400000 100000",
            "system.slice/cpu.max": "50000 100000",
        },
        0.5,
    ),
    "version 1, by its path": (
        HYBRID,
        {
            "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "200000\n",
            "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
        },
        2.0,
    ),
    "version 1, the mounted root is the container's": (
        HYBRID,
        {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"},
        3.0,
    ),
    "version 1, no limit": (
        HYBRID,
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
        None,
    ),
    "nonsense": ("0::/\n", {"cpu.max": "a b"}, None),
    "a period of nothing": ("0::/\n", {"cpu.max": "1 0"}, None),
}


@pytest.mark.parametrize("name", CASES)
def test_it_finds_the_quota(name: str, tmp_path: Path) -> None:
    own, files, expected = CASES[name]
    cgroups = tmp_path / "cgroup"
    for path, content in files.items():
        file = cgroups / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (tmp_path / "own").write_text(own)
    assert find_cpu_quota(cgroups=cgroups, own_cgroups=tmp_path / "own") == expected


def test_a_machine_without_cgroups_has_no_quota(tmp_path: Path) -> None:
    assert find_cpu_quota(cgroups=tmp_path, own_cgroups=tmp_path / "none") is None


@pytest.mark.parametrize(
    ("cores", "quota", "usable"), [(8, None, 8), (8, 1.5, 2), (8, 0.2, 1), (2, 64.0, 2)]
)
def test_usable_cores_follow_the_smaller_limit(
    monkeypatch: pytest.MonkeyPatch, cores: int, quota: float | None, usable: int
) -> None:
    monkeypatch.setattr(cpu_quota.os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(cpu_quota, "find_cpu_quota", lambda: quota)
    assert count_usable_cores() == usable
