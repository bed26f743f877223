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


class ListSlot(Slot[tuple[T, ...]]):
    """The place of components of one kind, to which several features add; empty without one.

    Where components have names, they are pairs of a name and a component.
    """

    def add(self, app: Flask, *components: T) -> None:
        """Add components after those that `app` has."""
        self.fill(app, (*self.of(app), *components))

    def add_first(self, app: Flask, *components: T) -> None:
        """Add components before those that `app` has."""
        self.fill(app, (*components, *self.of(app)))

    def get(self) -> tuple[T, ...]:
        """Return the components of the current application, in their order.

        Raises:
            RuntimeError: there is no application context.
        """
        components: tuple[T, ...] = current_app.extensions.get(self._key, ())
        return components

    def of(self, app: Flask) -> tuple[T, ...]:
        """Return the components of `app`, without an application context."""
        components: tuple[T, ...] = app.extensions.get(self._key, ())
        return components
