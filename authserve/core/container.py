"""Typed access to the components of the running application: the only bridge to Flask's context."""

from typing import Generic, TypeVar

from flask import Flask, current_app

T = TypeVar("T")


class Slot(Generic[T]):
    """The place of one component in an application; `app.py` fills it.

    A module declares the slot beside the component's type: `KEYRING = Slot[Keyring]("keyring")`.

    Args:
        name: unique among slots.
    """

    def __init__(self, name: str) -> None:
        self._key = f"authserve.{name}"

    def fill(self, app: Flask, component: T) -> None:
        """Put a component into the application; it replaces the one before."""
        app.extensions[self._key] = component

    def get(self) -> T:
        """Return the component of the current application.

        Raises:
            RuntimeError: there is no application context.
            KeyError: the slot is empty.
        """
        component: T = current_app.extensions[self._key]
        return component

    def find(self) -> T | None:
        """Return the component of the current application; None if the slot is empty.

        Raises:
            RuntimeError: there is no application context.
        """
        component: T | None = current_app.extensions.get(self._key)
        return component

    def of(self, app: Flask) -> T:
        """Return the component of `app`, without an application context.

        Raises:
            KeyError: the slot is empty.
        """
        component: T = app.extensions[self._key]
        return component

    def is_filled(self, app: Flask) -> bool:
        """Return True if `app` has the component; those of optional features may be absent."""
        return self._key in app.extensions
