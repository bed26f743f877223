"""The blueprint with the pages about apps. It is small because importing its modules adds them."""

from authserve.pages import consent
from authserve.pages.blueprint import app_blueprint
from authserve.web.setup import guard_pages

MODULES = (consent,)

guard_pages(app_blueprint, secret_links=())

__all__ = ["MODULES", "app_blueprint"]
