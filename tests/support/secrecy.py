"""Secrets that tests use, and everything that is logged meanwhile: the two must not meet.

What a test sends and receives as a password or token is noted at the edge, by the clients that
tests have; what is logged is overheard at the root logger, and in the output of real servers.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserve.core.logs import JSONLineFormatter
from authserve.settings.model import Settings

MIN_LENGTH = 12
"""Shorter secrets are ordinary words, which tests often send to be refused."""

LINK_ID_LENGTH = 22
"""A link's token begins with its row's id, which is no secret."""

SECRET_FIELDS = (
    *("password", "new_password", "current_password", "token"),
    *("access_token", "refresh_token", "device_token"),
    *("secret", "uri", "codes", "recovery_codes", "key"),
)


class Secrets:
    """The secrets of the whole run, and of the current test."""

    def __init__(self) -> None:
        self.all: set[str] = set()
        self.of_test: set[str] = set()

    def note(self, secret: object) -> None:
        """Remember a secret, and the part of a token that is one by itself."""
        if not isinstance(secret, str) or len(secret) < MIN_LENGTH:
            return
        found = {secret}
        if secret.count(".") == 2:
            found.add(secret.rpartition(".")[2])
        elif len(secret) > 2 * LINK_ID_LENGTH and secret.isascii() and " " not in secret:
            found.add(secret[LINK_ID_LENGTH:])
        found = {part for part in found if len(part) >= MIN_LENGTH}
        self.all |= found
        self.of_test |= found

    def note_settings(self, settings: Settings) -> None:
        """Remember the secrets of an application's settings."""
        for secret in (settings.secret_key, *settings.secret_key_fallbacks):
            self.note(secret)

    def note_body(self, body: Any) -> None:
        """Remember the secrets among the members of a body."""
        if isinstance(body, Mapping):
            for name in SECRET_FIELDS:
                value = body.get(name)
                for secret in value if isinstance(value, list) else [value]:
                    self.note(secret)

    def note_headers(self, headers: Any) -> None:
        """Remember the token that a request brings."""
        if headers is not None:
            self.note(str(dict(headers).get("Authorization", "")).partition(" ")[2])

    def found_in(self, text: str, *, of_test: bool = False) -> list[str]:
        """Return the secrets that a text holds."""
        # A copy, because a thread of the test may note another one meanwhile.
        secrets = tuple(self.of_test if of_test else self.all)
        return [secret for secret in secrets if secret in text]


SECRETS = Secrets()


class Eavesdropper(logging.Handler):
    """A handler that keeps every line of the application's log, in its final form."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JSONLineFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; one that cannot be formatted is written without its arguments."""
        try:
            self.lines.append(self.format(record))
        except Exception:
            self.lines.append(str(record.msg))


def eavesdrop() -> Iterator[Eavesdropper]:
    """Record the log during a test; at its end, none of its secrets may be in it."""
    SECRETS.of_test = set()
    listener = Eavesdropper()
    root = logging.getLogger()
    root.addHandler(listener)
    yield listener
    root.removeHandler(listener)
    told = "\n".join(listener.lines)
    assert SECRETS.found_in(told, of_test=True) == [], "a secret was logged"


class NotingClient(FlaskClient):
    """Flask's own client, which notes secrets."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send a request."""
        SECRETS.note_body(kwargs.get("json"))
        SECRETS.note_headers(kwargs.get("headers"))
        response = super().open(*args, **kwargs)
        if response.status_code < 300 and response.mimetype == "application/json":
            SECRETS.note_body(response.get_json(silent=True))
        return response
