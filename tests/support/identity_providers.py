"""Registered providers of sign-in in tests."""

from typing import Any

from flask import Flask

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.federation.configuration import new_configuration
from authserve.federation.presets import Preset
from authserve.federation.registry import Provider, add_provider

SECRET = "GOCSPX-a secret / of the provider's"


def give_provider(
    app: Flask, slug: str = "google", *, preset: Preset = Preset.GOOGLE, **values: Any
) -> Provider:
    """Register a provider; by default Google, as its preset has it."""
    configuration = new_configuration(preset, {"client_id": "1234.apps", **values})
    with app.app_context():
        return add_provider(
            slug, configuration, secret=SECRET, actor=OPERATOR, request=RequestInfo()
        )
