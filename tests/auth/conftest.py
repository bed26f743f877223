"""Fixtures and calls of tests about tokens."""

import pytest
from flask import Flask

from tests.support.clients import Caller
from tests.support.tokens import Forge, forge


@pytest.fixture
def forge_refresh(app: Flask, alice: Caller) -> Forge:
    """Variants of Alice's refresh token, signed with the service's own key."""
    return forge(app, "refresh", alice.tokens["refresh_token"])
