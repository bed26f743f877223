"""The service's name for people: shown in mails and pages, refused in passwords."""

from urllib.parse import urlsplit

from authserve.settings.model import Settings


def brand_name(settings: Settings) -> str:
    """Return `BRAND_NAME`, or the host of `PUBLIC_URL` if it is not set."""
    return settings.brand_name or urlsplit(settings.public_url).hostname or "localhost"


def brand_words(settings: Settings) -> tuple[str, ...]:
    """Return the words that identify this service, for the password policy.

    An attacker who guesses passwords knows the service's name and host (ASVS 6.1.2). The words
    are the name and the host, each whole and in parts, and the name without spaces.
    """
    brand, host = settings.brand_name, urlsplit(settings.public_url).hostname or ""
    return (brand, "".join(brand.split()), *brand.split(), host, *host.split("."))
