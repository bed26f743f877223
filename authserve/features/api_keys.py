"""The keys with which users' programs call the API."""

from flask import Flask

from authserve.admin.personal_data import FURTHER_LISTS
from authserve.apikeys.authenticate import authenticate_api_key
from authserve.apikeys.listing import export_keys
from authserve.apikeys.revoke import revoke_all_keys
from authserve.apikeys.routes import blueprint
from authserve.apikeys.verify import inspect_key
from authserve.auth.introspection import KEY_INTROSPECTOR
from authserve.auth.logout import OTHER_GRANTS
from authserve.features.part import Part
from authserve.http.callers import AUTHENTICATORS


def add(app: Flask) -> None:
    """Accept keys, and add them to what is done with all that an account has."""
    AUTHENTICATORS.add(app, authenticate_api_key)
    KEY_INTROSPECTOR.fill(app, inspect_key)
    OTHER_GRANTS.add(app, ("api-keys", revoke_all_keys))
    FURTHER_LISTS.add(app, ("api_keys", export_keys))


PART = Part(add=add, blueprints=(blueprint,))
