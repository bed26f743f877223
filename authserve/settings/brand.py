"""The service's name for people: in mails and pages, and refused as a password."""

from urllib.parse import urlsplit

from authserve.settings.model import Settings


def brand_name(settings: Settings) -> str:
    """Return `BRAND_NAME`, or the host of `PUBLIC_URL` where it is not set."""
    return settings.brand_name or urlsplit(settings.public_url).hostname or "localhost"


def brand_words(settings: Settings) -> tuple[str, ...]:
    """Return the words by which people know this service, for the password policy.

    A person who guesses passwords of this service knows its name and its host (ASVS 6.1.2). Each
    is refused as a whole, without its spaces, and by each of its parts.
    """
    brand, host = settings.brand_name, urlsplit(settings.public_url).hostname or ""
    return (brand, "".join(brand.split()), *brand.split(), host, *host.split("."))
