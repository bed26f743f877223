"""The form in which each module of this package describes its part of the service."""

from collections.abc import Callable

from flask import Flask

from authserve.core.frozen import frozen
from authserve.http.openapi import Blueprint


def add_nothing(_app: Flask) -> None:
    """Add nothing to an application; for a part that has calls alone."""


@frozen(kw_only=True)
class Part:
    """A part of the service that exists only with some settings.

    Args:
        add: adds it to an application.
        blueprints: its calls of the API, which the OpenAPI document describes. They are registered
            beside those that always exist, not by `add`.
    """

    add: Callable[[Flask], None] = add_nothing
    blueprints: tuple[Blueprint, ...] = ()
