"""The version of gunicorn, and its limit of open files."""

import resource
from collections.abc import Callable

import psutil
import pytest
from gunicorn import __version__

import config
from authserve.core.gunicorn_version import GUNICORN_VERSION
from tests.support.server import Server

pytestmark = pytest.mark.gunicorn

MakeServer = Callable[..., Server]

ANOTHER = "import gunicorn\ngunicorn.__version__ = '99.0'\n"


def test_the_pinned_version_is_the_one_that_the_worker_is_made_for() -> None:
    pins = (config.ROOT / "requirements.in").read_text().splitlines()
    (pin,) = [line.split()[0] for line in pins if line.startswith("gunicorn")]
    assert pin == f"gunicorn=={GUNICORN_VERSION}" == f"gunicorn=={__version__}"


def test_another_version_serves_with_its_own_worker_and_logs_it(make_server: MakeServer) -> None:
    own = (config.ROOT / "gunicorn.conf.py").read_text()
    server = make_server(files={"gunicorn.conf.py": ANOTHER + own}, DRAIN_SECONDS="300")
    assert server.client().get("/healthz").status_code == 200
    told = [line["level"] for line in server.log() if "gunicorn 99.0 is not" in line["event"]]
    assert told == ["WARNING"]
    # DRAIN_SECONDS has no effect.
    assert server.stop() == 0


def test_it_may_open_as_many_files_as_the_system_allows(make_server: MakeServer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(500, soft), hard))
    try:
        server = make_server()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for pid in server.workers():
        limits = psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE)
        assert limits == (min(hard, 65_536), hard)
