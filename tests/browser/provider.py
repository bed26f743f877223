"""A provider of sign-in with a page of its own, at another site than the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from tests.support.providers import (
    CLIENT_ID,
    SECRET,
    Answer,
    ProviderServer,
    Question,
    provider_server,
)
from tests.support.site import Site

NAME = "Example Works"

BUTTON = f"Continue with {NAME}"


@contextmanager
def running_provider(site: Site, folder: Path) -> Iterator[ProviderServer]:
    """Run the provider and register it as `work`, before three that no test reaches.

    Args:
        folder: for the file with the secret.
    """
    with provider_server() as server:
        server.answers["/authorize"] = lambda question: _show_page(server, question)
        secret = folder / "secret.txt"
        secret.write_text(SECRET)
        own = ("--client-id", CLIENT_ID, "--client-secret-file", str(secret))
        more = ("oidc", "--slug", "work", "--name", NAME, "--issuer", server.issuer)
        for arguments in (more, ("google",), ("github",), ("gitlab",)):
            site.command("providers", "add", *arguments, *own)
        yield server


def _show_page(server: ProviderServer, asked: Question) -> Answer:
    """Return the page on which a person goes on, or goes back."""
    fields, state = asked.fields, {"state": asked.fields["state"], "iss": server.issuer}
    server.nonce = fields["nonce"]
    ways = {"Continue": {"code": "a code", **state}, "Go back": {"error": "access_denied", **state}}
    links = " ".join(
        f'<a href="{escape(fields["redirect_uri"])}?{escape(urlencode(answer))}">{text}</a>'
        for text, answer in ways.items()
    )
    html = f"<!doctype html><link rel=icon href=data:,><h1>{NAME}</h1>{links}"
    return Answer(html.encode(), headers={"Content-Type": "text/html; charset=utf-8"})
