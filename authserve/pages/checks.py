"""The check of pages by `flask doctor`. It is small because the start refuses what is wrong."""

from authserve.core.brand import is_moved
from authserve.health.report import Finding, Level
from authserve.settings.model import Settings


def check_pages(settings: Settings) -> Finding:
    """Report what pages do with the brand's colour, and that they hand nothing to an app."""
    message = (
        "Pages are on. An app learns nothing from a sign-in on them: that needs OpenID Connect, "
        "which this release does not have."
    )
    if is_moved(settings.brand_color):
        message += (
            " BRAND_COLOR is shown darker than it is, since text in it could not be read on white."
        )
    return Finding("pages", Level.OK, message)
