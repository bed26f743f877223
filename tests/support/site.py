"""The whole service in real processes: gunicorn, the worker, and the mails that they write."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authserve.settings.model import Settings
from tests.conftest import make_settings
from tests.support.mail import Letter
from tests.support.processes import Process
from tests.support.server import DEADLINE_SECS, Server


class Site(Server):
    """A gunicorn and a `flask worker`, whose mail goes to a folder and whose links lead back."""

    def __init__(self, settings: Settings, folder: Path, **environ: str) -> None:
        self.mails = folder.with_name("mails")
        super().__init__(settings, folder, {"MAIL_URL": self.mails.as_uri(), **environ})
        self.worker = self._spawn("flask", "worker", out="worker", err="worker")

    def _start(self) -> Process:
        # The port is known only now. Browsers allow no passkeys at an address.
        self.url = self.url.replace("127.0.0.1", "localhost")
        self.environ["PUBLIC_URL"] = self.url
        return super()._start()

    def command(self, *arguments: str) -> str:
        """Run a `flask` command to its end; returns everything that it printed."""
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr

    def stop(self) -> int:
        """End both; returns gunicorn's exit status."""
        self.worker.terminate()
        try:
            assert self.worker.wait(DEADLINE_SECS) == 0, (self._folder / "worker").read_text()
        finally:
            status = super().stop()
        return status

    def letter(self, address: str, subject: str) -> Letter:
        """Wait for the mail with this subject."""
        give_up = time.monotonic() + DEADLINE_SECS
        while time.monotonic() < give_up:
            for path in self.mails.glob("*.eml"):
                letter = Letter(address, path.read_bytes())
                if (letter.message["To"], letter.subject) == (address, subject):
                    return letter
            time.sleep(0.05)
        raise AssertionError(f"no mail {subject!r} for {address}")


@contextmanager
def running_site(template: Path, folder: Path, **environ: str) -> Iterator[Site]:
    """Run the service, all of it. To a browser the kind of database makes no difference."""
    database = folder / "test.db"
    shutil.copy(template, database)
    site = Site(make_settings(f"sqlite:///{database}", folder), folder / "server", **environ)
    try:
        site.wait_until_healthy()
        yield site
    finally:
        assert site.stop() == 0, site.output()
