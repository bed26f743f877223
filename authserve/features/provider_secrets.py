"""The secrets of providers for `flask keys rewrap`, also while the feature is off."""

from flask import Flask

from authserve.core.crypto import FURTHER_SECRETS
from authserve.features.part import Part
from authserve.federation.secrets import rewrap_secrets


def add(app: Flask) -> None:
    """Add the secrets of providers to those that a change of `SECRET_KEY` encrypts anew."""
    FURTHER_SECRETS.add(app, ("provider secret", rewrap_secrets))


PART = Part(add=add)
