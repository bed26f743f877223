"""What is installed is what was looked at: every package pinned, by version and by digest."""

import re
from pathlib import Path

import pytest

import config

LOCKS = sorted(config.ROOT.glob("requirements*.txt"))

each_lock = pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)

REQUIREMENT = re.compile(
    r"([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([0-9][^ ;]*)(?: ; [^-]+)?((?: --hash=\S+)+)"
)

SHA256 = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(path: Path) -> list[str]:
    """The lines of a file without comments, each joined to those that continue it."""
    lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    stripped = (" ".join(line.partition("#")[0].split()) for line in lines)
    return [line for line in stripped if line]


def pinned(lock: Path) -> set[str]:
    """The names of the packages that a lock holds."""
    return {entry.partition("==")[0].partition("[")[0] for entry in entries(lock)}


def wanted(source: Path) -> set[str]:
    """The names of the packages that a `requirements*.in` asks for."""
    named = [entry for entry in entries(source) if not entry.startswith("-")]
    return {re.split(r"[\[=<>~ ]", entry)[0] for entry in named}


@each_lock
def test_each_package_has_one_version_and_its_digests(lock: Path) -> None:
    assert entries(lock)
    for entry in entries(lock):
        found = REQUIREMENT.fullmatch(entry)
        assert found, entry
        assert all(SHA256.fullmatch(digest) for digest in found[3].split())


@each_lock
def test_whatever_is_wanted_is_pinned(lock: Path) -> None:
    assert wanted(lock.with_suffix(".in")) <= pinned(lock)


def test_no_tool_of_ours_is_installed_in_production() -> None:
    tools = wanted(config.ROOT / "requirements-dev.in")
    assert tools & pinned(config.ROOT / "requirements.txt") == set()


def test_the_makefile_installs_in_one_way_and_by_digests() -> None:
    makefile = (config.ROOT / "Makefile").read_text(encoding="utf-8")
    (way,) = re.findall(r"^.*\bpip install\b.*$", makefile, re.MULTILINE)
    assert way.startswith("INSTALL := ")
    assert "--require-hashes" in way
    used = re.findall(r"^\t(.*)-r requirements.*$", makefile, re.MULTILINE)
    assert set(used) == {"$(INSTALL) "}
