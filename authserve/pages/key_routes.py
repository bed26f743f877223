"""The blueprint with the pages about API keys. It is small because importing its module adds them.

`features/api_key_pages.py` imports it where both features are on.
"""

from authserve.pages import account_keys
from authserve.pages.blueprint import key_blueprint
from authserve.web.setup import guard_pages

MODULES = (account_keys,)

guard_pages(key_blueprint, secret_links=())

__all__ = ["MODULES", "key_blueprint"]
