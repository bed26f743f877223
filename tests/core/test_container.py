"""The application's slots."""

import pytest
from flask import Flask

from authserve.core.container import ListSlot, Slot

NUMBER = Slot[int]("number")
NUMBERS = ListSlot[int]("numbers")


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


def test_it_collects_in_the_order_of_each_application() -> None:
    one, two = Flask("one"), Flask("two")
    NUMBERS.add(one, 2)
    NUMBERS.add(one, 3, 4)
    NUMBERS.add_first(one, 0, 1)
    NUMBERS.add_first(two, 5)
    with one.app_context():
        assert NUMBERS.get() == NUMBERS.of(one) == (0, 1, 2, 3, 4)
    assert NUMBERS.of(two) == (5,)


def test_without_an_addition_it_is_empty() -> None:
    app = Flask("app")
    with app.app_context():
        assert NUMBERS.get() == NUMBERS.of(app) == ()
    with pytest.raises(RuntimeError):
        NUMBERS.get()
