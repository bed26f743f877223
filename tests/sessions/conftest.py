"""Fixtures of tests about sessions."""

import pytest

from authserve.core.actor import UserRef
from authserve.tokens.access import LiveSession
from tests.factories import make_session, make_user


@pytest.fixture
def user(context: None) -> UserRef:
    """A user."""
    return make_user("alice")


@pytest.fixture
def stranger(context: None) -> UserRef:
    """Another user."""
    return make_user("charlie")


@pytest.fixture
def issued(user: UserRef) -> LiveSession:
    """A session of `user` that began this moment."""
    return make_session(user)
