"""The example for Traefik, which no test runs; tests/real_clients runs the others."""

import yaml

import config
from tests.forwardauth.test_check import IDENTITY


def test_traefik_drops_what_applications_take_for_the_headers_of_authserve() -> None:
    """They cannot tell `Remote_User` from `Remote-User`; Traefik can, and lets it pass."""
    text = (config.ROOT / "docs/examples/traefik-forward-auth.yaml").read_text(encoding="utf-8")
    http = yaml.safe_load(text)["http"]
    before, check = (http["middlewares"][name] for name in http["routers"]["files"]["middlewares"])
    twins = {name.replace("-", "_"): "" for name in IDENTITY}
    assert before["headers"]["customRequestHeaders"] == twins
    assert check["forwardAuth"]["authResponseHeaders"] == list(IDENTITY)
