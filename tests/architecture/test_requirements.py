"""Only reviewed packages are installed: each is pinned by version and by digest."""

import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
def test_every_requirement_is_pinned(lock: Path) -> None:
    assert wanted(lock.with_suffix(".in")) <= pinned(lock)


def extras_of(entry: str) -> set[str]:
    """The extras that an entry of a lock pins along with its package."""
    found = re.match(r"[a-z0-9-]+\[([a-z0-9,-]+)\]", entry)
    return set(found[1].split(",")) if found else set()


def wanted_extras(name: str, extras: set[str]) -> Iterator[tuple[str, set[str]]]:
    """Yield the requirements of an installed package that name extras, with those extras."""
    with suppress(PackageNotFoundError):
        for text in requires(name) or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if requirement.extras and (
                marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras})
            ):
                yield canonicalize_name(requirement.name), requirement.extras


@each_lock
def test_a_package_is_pinned_with_the_extras_that_others_ask_for(lock: Path) -> None:
    """Otherwise pip takes a newer version for the extras, and finds no digest of it."""
    found = {
        entry.partition("==")[0].partition("[")[0]: extras_of(entry) for entry in entries(lock)
    }
    for name, extras in found.items():
        for other, asked in wanted_extras(name, extras):
            assert other not in found or asked <= found[other], (name, other, asked)


def test_no_tool_of_ours_is_installed_in_production() -> None:
    tools = wanted(config.ROOT / "requirements-dev.in")
    assert tools & pinned(config.ROOT / "requirements.txt") == set()


def test_the_makefile_installs_by_digests_alone() -> None:
    makefile = (config.ROOT / "Makefile").read_text(encoding="utf-8")
    ways = re.findall(r"^.*\bpip install\b.*$", makefile, re.MULTILINE)
    assert [way.partition(" := ")[0] for way in ways] == ["PIP", "UV"]
    assert all("--require-hashes" in way for way in ways)
    used = re.findall(r"^\t(\S+) ?\S*[ ,]requirements\S*\.txt\)?$", makefile, re.MULTILINE)
    assert set(used) == {"-$(PIP)", "$(call"}
