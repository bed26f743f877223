"""Clients that record their answers, to compare them with the state after a crash."""

from collections.abc import Callable
from random import Random
from threading import Event
from typing import Any
from uuid import UUID

import jwt
import requests
from flask import Flask

from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.users.lookup import find_user, get_user_by_reference
from authserve.verification.policy import Purpose
from authserve.verification.tokens import ensure_token, make_token
from tests.support.clients import PASSWORD
from tests.support.server import Client
from tests.support.traffic import next_address


class Interrupted(Exception):
    """A request was not acknowledged: its effect has happened, or it has not."""


class Resident:
    """A user who registers once, then refreshes and changes the password again and again.

    Args:
        app: an application in the test's own process, for links that would come by mail.
        client: to the server that is killed.
        name: of the account.
    """

    def __init__(self, app: Flask, client: Client, name: str, choices: Random) -> None:
        self._app = app
        self._client = client
        self._choices = choices
        self._number = 0
        self.name = name
        self.is_registered = False
        self.passwords = [PASSWORD]
        """The acknowledged password, and the one that may have replaced it."""
        self.user_id: UUID | None = None
        self.session_id: UUID | None = None
        self.refresh_token = ""
        self.generation = 0

    def live_until_interrupted(self, is_over: Event) -> None:
        """Use the account until a request is not acknowledged, or until it is over."""
        try:
            self._register()
            self._sign_in()
            while not is_over.is_set():
                self._choices.choice(
                    (self._refresh, self._refresh, self._change_password, self._reset_password)
                )()
        except Interrupted:
            return

    def _call(self, path: str, *, method: str = "POST", bearer: str = "", **body: str) -> Any:
        headers = {"X-Forwarded-For": next_address()}
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        try:
            response = self._client.request(
                method, f"/api/v1/{path}", json=body or None, headers=headers
            )
        except requests.RequestException as error:
            raise Interrupted from error
        if response.status_code == 503:
            # A busy machine answers so; nothing was acknowledged.
            raise Interrupted
        assert response.ok, f"{path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def _register(self) -> None:
        email = f"{self.name}@example.com"
        answer = self._call("auth/register", email=email, username=self.name, password=PASSWORD)
        self.user_id, self.is_registered = UUID(answer["id"]), True

    def _sign_in(self) -> None:
        self._keep(self._call("auth/login", identifier=self.name, password=self.passwords[0]))
        self.generation = 0

    def _keep(self, tokens: dict[str, Any]) -> None:
        self.session_id = UUID(tokens["session_id"])
        self.access_token = tokens["access_token"]
        self.refresh_token = tokens["refresh_token"]
        claims = jwt.decode(self.refresh_token, options={"verify_signature": False})
        self.generation = claims["gen"]

    def _refresh(self) -> None:
        self._keep(self._call("auth/refresh", refresh_token=self.refresh_token))

    def _new_password(self) -> str:
        self._number += 1
        password = f"{PASSWORD} {self._number}"
        self.passwords = [self.passwords[0], password]
        return password

    def _change_password(self) -> None:
        current, new = self.passwords[0], self._new_password()
        body = {"current_password": current, "new_password": new}
        self._call("users/me/password", method="PUT", bearer=self.access_token, **body)
        self.passwords = [new]

    def _reset_password(self) -> None:
        # Every session ends with it, with or without an answer.
        self.refresh_token = ""
        token, new = self._make_link(), self._new_password()
        self._call("auth/password/reset", token=token, new_password=new)
        self.passwords = [new]
        self._sign_in()

    def _make_link(self) -> str:
        token_id = new_id()
        assert self.user_id is not None
        with self._app.app_context():
            ensure_token(
                token_id,
                Purpose.RESET_PASSWORD,
                user_id=self.user_id,
                email=f"{self.name}@example.com",
                requested_at=now(),
            )
            return make_token(token_id)

    def stored_password(self, matches: Callable[[str, str], bool]) -> str | None:
        """Return the password that the account has; None if neither.

        Args:
            matches: returns True if a password matches a hash.
        """
        with self._app.app_context():
            stored = get_user_by_reference(self.name).password_hash or ""
            return next((each for each in self.passwords if matches(each, stored)), None)

    def is_stored(self) -> bool:
        """Return True if the acknowledged account exists."""
        with self._app.app_context():
            return self.user_id is not None and find_user(self.user_id) is not None
