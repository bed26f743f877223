"""A page with an authenticator that DevTools makes (CDP, domain WebAuthn)."""

from typing import Any

from playwright.sync_api import CDPSession, Page

TIMEOUT_MS = 20_000
"""Limit of a ceremony, which the browser itself never ends without an authenticator."""

CREATE = """async ([options, limit]) => {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const signal = AbortSignal.timeout(limit);
  return (await navigator.credentials.create({publicKey, signal})).toJSON();
}"""

GET = """async ([options, limit, mediation]) => {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const signal = AbortSignal.timeout(limit);
  return (await navigator.credentials.get({publicKey, signal, mediation})).toJSON();
}"""


class Browser:
    """A page of the site, and an authenticator that DevTools has plugged in."""

    def __init__(self, page: Page, **options: Any) -> None:
        self.page = page
        self.devtools: CDPSession = page.context.new_cdp_session(page)
        self.devtools.send("WebAuthn.enable", {"enableUI": False})
        added = self.devtools.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                    **options,
                }
            },
        )
        self.authenticator_id = added["authenticatorId"]

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Make a passkey."""
        made: dict[str, Any] = self.page.evaluate(CREATE, [options, TIMEOUT_MS])
        return made

    def get(self, options: dict[str, Any], mediation: str = "optional") -> dict[str, Any]:
        """Use a passkey."""
        used: dict[str, Any] = self.page.evaluate(GET, [options, TIMEOUT_MS, mediation])
        return used

    def credentials(self) -> list[dict[str, Any]]:
        """Return the passkeys of the authenticator, with their private keys."""
        found = self.devtools.send("WebAuthn.getCredentials", self._me())
        credentials: list[dict[str, Any]] = found["credentials"]
        return credentials

    def put(self, credential: dict[str, Any]) -> None:
        """Add a passkey to the authenticator."""
        self.devtools.send("WebAuthn.addCredential", {**self._me(), "credential": credential})

    def _me(self) -> dict[str, str]:
        return {"authenticatorId": self.authenticator_id}

    def set_presence(self, is_present: bool) -> None:
        """Let the authenticator answer by itself from now on, or wait."""
        settings = {**self._me(), "enabled": is_present}
        self.devtools.send("WebAuthn.setAutomaticPresenceSimulation", settings)
