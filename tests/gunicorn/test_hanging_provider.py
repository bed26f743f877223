"""While a sign-in provider hangs, a few requests wait for it, and all others are answered."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import Event, Lock

import pytest
import requests

from authserve.app import create_app
from authserve.database.transactions import db
from authserve.federation.upstream import TOTAL_SECS
from tests.conftest import fresh_database, make_settings
from tests.support.browsing import BROWSER, OWN_FORM
from tests.support.provider_sign_in import LOOPBACK, SLUG, register_server
from tests.support.providers import Answer, ProviderServer, Question, provider_server
from tests.support.server import Server

pytestmark = pytest.mark.gunicorn

WORKERS, THREADS = 2, 8

CALLERS = WORKERS * THREADS + 4
"""Together they would hold every thread."""

DISCOVERY = "/.well-known/openid-configuration"


class Hanging:
    """A provider that gives no answer until it is let go.

    Attributes:
        most: the greatest number of requests that it had at once.
    """

    def __init__(self, server: ProviderServer) -> None:
        self.server, self.is_over = server, Event()
        self.present, self.most, self.lock = 0, 0, Lock()
        server.answers[DISCOVERY] = self.wait

    def wait(self, _question: Question) -> Answer:
        """Answer in the end; by then the caller may be gone."""
        with self.lock:
            self.present += 1
            self.most = max(self.most, self.present)
        self.is_over.wait(TOTAL_SECS)
        with self.lock:
            self.present -= 1
        return Answer(self.server.metadata())


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """A provider that hangs."""
    with provider_server() as server:
        found = Hanging(server)
        yield found
        found.is_over.set()


def test_the_others_are_answered_meanwhile(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    hanging: Hanging,
) -> None:
    folder = tmp_path_factory.mktemp("hanging")
    environ = {
        "WEB_CONCURRENCY": str(WORKERS),
        "WEB_THREADS": str(THREADS),
        "FEATURES": "pages,federation",
        "OUTBOUND_HOSTS": str(LOOPBACK),
    }
    with fresh_database(request, "sqlite", folder) as url:
        features = ("pages", "federation")
        settings = make_settings(url, folder, features=features, outbound_hosts=LOOPBACK)
        app = create_app(settings)
        register_server(app, hanging.server)
        with app.app_context():
            db.engine.dispose()
        server = Server(settings, folder / "server", environ)
        server.wait_until_healthy()
        with ThreadPoolExecutor(CALLERS) as threads:
            waiting = [threads.submit(go_to_provider, server) for _ in range(CALLERS)]
            # No caller gets through yet, so the first that ends was told at once.
            wait(waiting, return_when=FIRST_COMPLETED)
            others = [open_page(server, "/sign-in") for _ in range(5)]
            hanging.is_over.set()
            statuses = {each.result().status_code for each in waiting}
        assert {page.status_code for page in others} == {200}
        assert 1 <= hanging.most <= WORKERS * THREADS // 8
        assert 503 in statuses
        assert statuses <= {200, 503}
        assert server.stop() == 0, server.output()


def go_to_provider(server: Server) -> requests.Response:
    """Press the button, and open the page that goes on to the provider."""
    client, impatient = server.client(), server.client(until_served=False)
    answer = client.post(f"/sign-in/with/{SLUG}", data={}, headers={**BROWSER, **OWN_FORM})
    assert answer.status_code == 303, answer.text
    impatient.cookies = client.cookies
    return impatient.get(answer.headers["Location"], headers=BROWSER)


def open_page(server: Server, path: str) -> requests.Response:
    """Open a page in a new browser."""
    return server.client().get(path, headers=BROWSER)
