"""`flask keys rewrap`, which encrypts signing keys and stored secrets again.

It adds its command to the group of `keys`, which is below this package and knows no factor.
"""

from collections.abc import Callable, Mapping

import click

from authserve.core.cli_output import print_result
from authserve.core.crypto import FURTHER_SECRETS
from authserve.keys.cli import keys_group
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.rotation import rewrap
from authserve.mfa.totp import rewrap_secrets

Rewrap = Callable[[], tuple[int, int]]
"""A function of `FURTHER_SECRETS`."""


@keys_group.command("rewrap")
def rewrap_() -> None:
    """Encrypt signing keys and stored secrets again, under the current SECRET_KEY.

    These are the secrets of TOTP and of providers, also of features that are off. A secret that no
    SECRET_KEY decrypts stays as it is, and is counted. Run `flask audit rewrap` too. Once the last
    refresh tokens of the former secret have expired, remove that secret from SECRET_KEY_FALLBACKS.

    \b
    Example:
      flask keys rewrap
    """
    try:
        keys = rewrap()
    except SigningKeyUnavailableError as error:
        raise click.ClickException(f"Nothing was changed: {error.remedy}") from error
    kinds: dict[str, Rewrap] = {"TOTP secret": _rewrap_totp, **dict(FURTHER_SECRETS.get())}
    encrypted, unopened = {"key": keys}, {}
    for noun, encrypt in kinds.items():
        encrypted[noun], unopened[noun] = encrypt()
    document = {f"{noun.lower().replace(' ', '_')}s": count for noun, count in encrypted.items()}
    print_result(_describe(encrypted, unopened), **document, unopened=sum(unopened.values()))


def _rewrap_totp() -> tuple[int, int]:
    slices = list(rewrap_secrets())
    return sum(encrypted for encrypted, _ in slices), sum(skipped for _, skipped in slices)


def _describe(encrypted: Mapping[str, int], unopened: Mapping[str, int]) -> str:
    *others, last = (_counted(count, noun) for noun, count in encrypted.items())
    lines = [f"{', '.join(others)} and {last} encrypted under the current SECRET_KEY."]
    for noun, count in unopened.items():
        if count:
            lines.append(f"{_counted(count, noun)} unchanged: no configured secret opens it.")
    return "\n".join(lines)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
