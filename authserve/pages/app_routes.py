"""The blueprint with the pages about apps. It is small because importing its modules adds them."""

from authserve.pages import account_apps, consent
from authserve.pages.blueprint import app_blueprint
from authserve.web.setup import guard_pages

MODULES = (consent, account_apps)

guard_pages(app_blueprint, secret_links=())

__all__ = ["MODULES", "app_blueprint"]
