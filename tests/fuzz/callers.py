"""Callers with memory: they send values of one answer with a later call."""

import re
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from flask import Flask
from schemathesis import Case
from schemathesis.core.transport import Response

from tests.support.clients import PASSWORD, login, register_caller
from tests.support.fuzzing import is_guarded
from tests.support.mail import Mailbox, work

LINK = re.compile(r"https?://\S+#(\S+)")

OTHER_PASSWORD = "another horse, another staple"


@dataclass
class FuzzCaller:
    """A caller with an address of its own, signed in unless it is a visitor.

    Args:
        number: unique.
        role: `user`, `admin`, or `visitor` for an anonymous caller.
    """

    app: Flask
    mailbox: Mailbox
    number: int
    role: str
    tokens: dict[str, Any] = field(default_factory=dict)
    known: dict[str, list[Any]] = field(default_factory=dict)
    has_altered: bool = False
    """True if the last prepared call differs from the generated one."""

    def __post_init__(self) -> None:
        name, other = f"caller{self.number}", f"other{self.number}"
        self.remember("identifier", name, f"{name}@example.com", other)
        self.remember("email", f"{name}@example.com", f"{other}@example.com")
        self.remember("username", name, other)
        for place in ("password", "current_password", "new_password"):
            self.remember(place, PASSWORD, OTHER_PASSWORD)
        self.remember("name", "user", "admin")
        stranger = register_caller(self.app, other)
        self.remember("user_id", str(stranger.id))
        self.remember("session_id", str(stranger.session_id))
        if self.role != "visitor":
            caller = register_caller(self.app, name, roles=[self.role])
            self.remember("user_id", str(caller.id))
            self.learn_from(caller.tokens)

    @property
    def address(self) -> str:
        """An address of its own, so that no caller is throttled for another's failures."""
        high, low = divmod(self.number, 250)
        return f"10.{high // 250}.{high % 250}.{low + 1}"

    def headers_for(self, case: Case) -> dict[str, str]:
        """Return the headers of a call by this caller."""
        headers = {"X-Forwarded-For": self.address}
        # Where a token in the body will do, one beside it is mostly refused.
        is_optional = not is_guarded(case.operation) and _draw(case.body) % 2
        if "access_token" in self.tokens and not is_optional:
            headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        return headers

    def remember(self, name: str, *values: Any) -> None:
        """Send these as `name` now and then."""
        self.known.setdefault(name, []).extend(values)

    def prepare(self, case: Case) -> None:
        """Put what is known in place of half of what was made up."""
        self.has_altered = False
        for values in (case.body, case.path_parameters, case.query):
            if isinstance(values, dict):
                for name in sorted(values.keys() & self.known.keys()):
                    self._prepare_value(values, name)

    def _prepare_value(self, values: dict[str, Any], name: str) -> None:
        made_up = values[name]
        values[name] = self._choose(name, made_up)
        self.has_altered |= values[name] is not made_up

    def _choose(self, name: str, made_up: Any) -> Any:
        draw = _draw(made_up)
        known = self.known[name]
        return made_up if draw % 2 else known[draw // 2 % len(known)]

    def learn(self, response: Response) -> None:
        """Remember the values of an answer, and of a mail that it caused."""
        if response.status_code == 401 and self.tokens:
            self._sign_in_again()
        if response.status_code < 300 and response.content.startswith(b"{"):
            self.learn_from(response.json())
        if response.status_code == 202:
            work(self.app)
            links = (LINK.search(letter.text) for letter in self.mailbox.letters)
            self.remember("token", *(link[1] for link in links if link))
            self.mailbox.letters.clear()

    def _sign_in_again(self) -> None:
        """Sign in after a call that ended the session; without an account, become a visitor."""
        self.tokens = {}
        client = self.app.test_client()
        client.environ_base["HTTP_X_FORWARDED_FOR"] = self.address
        for password in self.known["password"]:
            response = login(client, f"caller{self.number}", password)
            if response.status_code == 200:
                self.learn_from(response.get_json())
                return

    def learn_from(self, document: dict[str, Any]) -> None:
        """Remember tokens, ids and where the next page begins."""
        if "access_token" in document:
            self.tokens |= document
        for item in (document, *document.get("items", ())):
            for name, known_as in KNOWN_AS.items():
                if isinstance(item, dict) and isinstance(item.get(name), str):
                    self.remember(known_as, item[name])


def _draw(made_up: Any) -> int:
    """A number that depends on what was made up alone, so that a seed repeats every choice."""
    return crc32(repr(made_up).encode("utf-8", "surrogatepass"))


KNOWN_AS = {
    "access_token": "token",
    "refresh_token": "refresh_token",
    "device_token": "device_token",
    "next_cursor": "cursor",
    "session_id": "session_id",
    "name": "name",
    "correlation_id": "q",
}
"""Names of values in answers, and their names in calls."""
