"""The blueprint with the pages of sign-in by other providers.

It is small because importing its modules adds them.
"""

from authserve.pages import (
    account_identities,
    provider_address,
    provider_callback,
    provider_confirm,
    provider_start,
)
from authserve.pages.blueprint import provider_blueprint
from authserve.web.setup import guard_pages

MODULES = (
    provider_start,
    provider_callback,
    provider_confirm,
    provider_address,
    account_identities,
)

guard_pages(provider_blueprint, secret_links=())

__all__ = ["MODULES", "provider_blueprint"]
