"""The application's slots."""

import pytest
from flask import Flask

from authserve.core.container import Slot

NUMBER = Slot[int]("number")


def test_it_returns_what_the_application_was_filled_with() -> None:
    one, two = Flask("one"), Flask("two")
    NUMBER.fill(one, 1)
    NUMBER.fill(two, 2)
    with one.app_context():
        assert NUMBER.get() == NUMBER.find() == 1
        assert NUMBER.of(two) == 2


def test_an_empty_slot_is_a_fault() -> None:
    app = Flask("app")
    assert not NUMBER.is_filled(app)
    with app.app_context():
        assert NUMBER.find() is None
        with pytest.raises(KeyError):
            NUMBER.get()


def test_there_is_no_component_outside_an_application() -> None:
    with pytest.raises(RuntimeError):
        NUMBER.get()
