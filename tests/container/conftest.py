"""Fixtures: the image, built on a Debian base that is made on the spot, and containers of it.

No registry of images and no container engine is needed: mmdebstrap makes the base from this
machine's own package sources, buildah builds, and bubblewrap runs.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

import config
from tests.support.ports import reserved_port
from tests.support.server import DEADLINE_SECS, Client

TOOLS = ("mmdebstrap", "buildah", "bwrap")

PACKAGES = "python3,python3-venv,python-is-python3"
"""Steps that turn Debian's base into a substitute for the Dockerfile's Python image."""

RELEASE = "bookworm"
"""Debian's release in the name of that image."""

SOURCES = Path("/etc/apt/sources.list.d/debian.sources")

LOCKS = ("requirements.txt", "requirements-sbom.txt")


def run(*command: str | Path, **options: Any) -> str:
    """Run a command that must succeed; returns its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def fetch(*command: str | Path) -> None:
    """Run a command that needs the internet; without it, the test is skipped."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{command[0]} cannot fetch what the image needs: {done.stderr[-300:]}")


class Image:
    """The image of the Dockerfile, with its root mounted.

    Args:
        folder: where base, wheels and image go; a gigabyte.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buildah = ["buildah", "--root", folder / "storage", "--runroot", folder / "run"]
        self._buildah += ["--storage-driver", "vfs"]
        self._make_base()
        self._build()
        self._container = self._call("from", "--pull-never", "localhost/authserve").strip()
        self.root = Path(self._call("mount", self._container).strip())
        inspected = json.loads(self._call("inspect", "--type", "image", "localhost/authserve"))
        self.config: dict[str, Any] = inspected["Docker"]["config"]

    def _call(self, *command: str | Path) -> str:
        return run(*self._buildah, *command)

    def _bud(self, tag: str, context: Path, *options: str | Path) -> None:
        # Docker's format is the one that has health checks.
        shape = ("--isolation", "chroot", "--format", "docker", "--tag", f"localhost/{tag}")
        self._call("bud", *shape, *options, context)

    def _make_base(self) -> None:
        context = self._folder / "base"
        context.mkdir()
        shape = ("--variant=minbase", f"--include={PACKAGES}", RELEASE, context / "base.tar")
        is_same = f"VERSION_CODENAME={RELEASE}\n" in Path("/etc/os-release").read_text()
        fetch("mmdebstrap", *shape, *([SOURCES] if is_same and SOURCES.exists() else []))
        (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        self._bud("base", context)

    def _build(self) -> None:
        """Build with packages fetched before, by an index of this machine's own settings."""
        wheels = self._folder / "wheels"
        locks = [f"--requirement={config.ROOT / name}" for name in LOCKS]
        shape = ("--python-version=3.11", "--only-binary=:all:", "--require-hashes")
        fetch(sys.executable, "-m", "pip", "download", *shape, f"--dest={wheels}", *locks)
        pip = self._folder / "pip.conf"
        pip.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        self._bud(
            "authserve",
            config.ROOT,
            *("--build-arg", "BASE=localhost/base", "--secret", f"id=pip,src={pip}"),
            *("--volume", f"{wheels}:/wheels:ro"),
        )

    def close(self) -> None:
        """Unmount the root."""
        self._call("umount", self._container)


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The image; without the tools, a test that asks for it is skipped."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"the image is neither built nor run without {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("the image is neither built nor run by a user other than root")
    # On disk, and not in the memory that tests' own folders may be in.
    with tempfile.TemporaryDirectory(dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        image = Image(Path(folder))
        yield image
        image.close()


class Container:
    """One process of the image under bubblewrap, as an engine runs it with compose.yaml's options.

    The root is read-only, the user has no capability, and the process has number 1. The network is
    the machine's.

    Args:
        image: the image.
        log: the file for its output.
        command: what to run instead of the image's own command.
        environ: variables beside the image's.
        mounts: what to mount where; only /data can be written to.
        user: the user's and the group's number.
    """

    def __init__(
        self,
        image: Image,
        log: Path,
        *,
        command: Sequence[str] = (),
        environ: Mapping[str, str],
        mounts: Mapping[str, Path],
        user: str | None = None,
    ) -> None:
        self.log = log
        uid, gid = (user or image.config["User"]).split(":")
        inside = ("setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs")
        command = [*inside, *(command or image.config["Cmd"])]
        with log.open("ab") as out:
            self.monitor = subprocess.Popen(
                [*_confine(image, environ, mounts), "--", *command], stdout=out, stderr=out
            )

    @property
    def process(self) -> psutil.Process:
        """The process with number 1."""
        (child,) = psutil.Process(self.monitor.pid).children()
        return child

    def wait(self) -> int:
        """Wait for its end; returns its status."""
        return self.monitor.wait(DEADLINE_SECS)

    def stop(self) -> int:
        """End it as an engine does, by SIGTERM; returns its status."""
        self.process.terminate()
        return self.wait()

    def output(self) -> str:
        """All that it has written."""
        return self.log.read_text()


def _confine(image: Image, environ: Mapping[str, str], mounts: Mapping[str, Path]) -> list[str]:
    own = dict(line.split("=", 1) for line in image.config["Env"])
    own.setdefault("PATH", os.defpath)
    options = ["bwrap", "--die-with-parent", "--as-pid-1", "--clearenv"]
    options += ["--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    options += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    options += ["--ro-bind", str(image.root), "/", "--proc", "/proc", "--dev", "/dev"]
    for folder in ("/tmp", "/dev/shm"):
        options += ["--perms", "1777", "--tmpfs", folder]
    options += ["--tmpfs", "/run"]
    for target, source in mounts.items():
        options += ["--bind" if target == "/data" else "--ro-bind", str(source), target]
    for name, value in {**own, "HOME": "/", **environ}.items():
        options += ["--setenv", name, value]
    return [*options, "--chdir", image.config["WorkingDir"]]


StartContainer = Callable[..., Container]


@pytest.fixture
def start(image: Image, tmp_path: Path) -> Iterator[StartContainer]:
    """Start containers, which end with the test."""
    started: list[Container] = []

    def start(**options: Any) -> Container:
        started.append(Container(image, tmp_path / f"log-{len(started)}", **options))
        return started[-1]

    yield start
    for container in started:
        container.monitor.kill()
        container.wait()


@pytest.fixture
def data(image: Image, tmp_path: Path) -> Path:
    """An empty volume for /data; like an engine's, it begins as that folder of the image."""
    model, volume = (image.root / "data").stat(), tmp_path / "data"
    volume.mkdir()
    os.chown(volume, model.st_uid, model.st_gid)
    volume.chmod(model.st_mode & 0o7777)
    return volume


@pytest.fixture
def port() -> Iterator[int]:
    """A port that only a server that asks for it by number gets."""
    with reserved_port() as port:
        yield port


@pytest.fixture
def client(port: int) -> Client:
    """A client of what serves there."""
    return Client(f"http://127.0.0.1:{port}")
