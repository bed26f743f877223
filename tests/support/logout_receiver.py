"""An app that receives logout tokens, on a loopback port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt


class LogoutReceiver:
    """A receiver that answers with `status`, or not until `is_over` if that is 0."""

    def __init__(self) -> None:
        self.status = 200
        self.tokens: list[str] = []
        self.types: list[str] = []
        self.is_over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.take(self)

            def do_GET(self) -> None:
                receiver.tokens.append("followed a redirect")

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def uri(self) -> str:
        """The value of `backchannel_logout_uri`."""
        return f"http://127.0.0.1:{self._server.server_port}/logout"

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        """Keep the token of a request, and answer."""
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        (token,) = parse_qs(body.decode(), strict_parsing=True)["logout_token"]
        self.tokens.append(token)
        self.types.append(handler.headers["Content-Type"])
        if self.status == 0:
            self.is_over.wait()
            return
        handler.send_response(self.status)
        if 300 <= self.status < 400:
            handler.send_header("Location", self.uri)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    @property
    def claims(self) -> list[dict[str, Any]]:
        """The claims of each token that has come; not verified."""
        return [jwt.decode(each, options={"verify_signature": False}) for each in self.tokens]

    def stop(self) -> None:
        """Close the port; connections are refused from then on."""
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def logout_receiver() -> Iterator[LogoutReceiver]:
    """Run a receiver."""
    receiver = LogoutReceiver()
    try:
        yield receiver
    finally:
        receiver.stop()
