"""The optional parts of the service: `FEATURES` names most of them.

Each module of this package adds one part to what others have: routes, subscriptions, sections,
sources of metrics. Only the tables below lead to these modules, and only to those of parts that are
on: a part that is off loads no module, sends no statement and answers 404. The modules are short,
because two parts share one only where both are always on together. What only `flask` commands need,
`flask worker` and `flask doctor` among them, is a part of its own, which no web worker loads.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module

from flask import Flask

from authserve.features.part import Part
from authserve.http.openapi import Blueprint
from authserve.settings.model import SETTINGS, Settings

PARTS: Mapping[str, frozenset[str]] = {
    # Always: keys and identities stay in the database while their feature is off.
    "resets": frozenset(),
    "email_codes": frozenset({"EMAIL_SIGN_IN"}),
    "pages": frozenset({"pages"}),
    "oidc": frozenset({"oidc"}),
    "api_keys": frozenset({"api-keys"}),
    "api_key_pages": frozenset({"api-keys", "pages"}),
    "forward_auth": frozenset({"forward-auth"}),
    "federation": frozenset({"federation"}),
    # Last, so that an event that a handler of another part refuses is not counted.
    "metrics": frozenset({"METRICS_TOKEN"}),
    "metrics_of_oidc": frozenset({"METRICS_TOKEN", "oidc"}),
    "metrics_of_federation": frozenset({"METRICS_TOKEN", "federation"}),
}
"""The modules of this package, each with the features and settings that switch it on if all are
on. The parts are added in this order, so that one can add to those before it."""

COMMAND_PARTS: Mapping[str, frozenset[str]] = {
    "pages_commands": frozenset({"pages"}),
    "oidc_commands": frozenset({"oidc"}),
    "api_keys_commands": frozenset({"api-keys"}),
    "forward_auth_commands": frozenset({"forward-auth"}),
    "federation_commands": frozenset({"federation"}),
    # Always: the secrets stay in the database while the feature is off.
    "provider_secrets": frozenset(),
}
"""The same of the modules that only `flask` commands need."""


def optional_blueprints(settings: Settings) -> tuple[Blueprint, ...]:
    """Return the blueprints of the API's calls that exist only with these settings."""
    return tuple(each for part in _load(PARTS, settings) for each in part.blueprints)


def add_features(app: Flask) -> None:
    """Add to `app` what its settings switch on."""
    for part in _load(PARTS, SETTINGS.of(app)):
        part.add(app)


def add_feature_commands(app: Flask) -> None:
    """Add to `app` what the `flask` commands of the features that are on need."""
    for part in _load(COMMAND_PARTS, SETTINGS.of(app)):
        part.add(app)


def _load(parts: Mapping[str, frozenset[str]], settings: Settings) -> Iterator[Part]:
    """Yield the parts that are on; this is the one place that imports an optional module."""
    for name in find_parts(parts, settings):
        part: Part = import_module(f"{__name__}.{name}").PART
        yield part


def find_parts(parts: Mapping[str, frozenset[str]], settings: Settings) -> list[str]:
    """Return the modules of a table above that are on with these settings, in its order."""
    switches = {*settings.features}
    if settings.email_sign_in:
        switches.add("EMAIL_SIGN_IN")
    if settings.metrics_token:
        switches.add("METRICS_TOKEN")
    return [name for name, needed in parts.items() if needed <= switches]
