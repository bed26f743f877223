"""`flask keys rewrap`, which encrypts signing keys and TOTP secrets again.

It adds its command to the group of `keys`, which is below this package and knows no factor.
"""

import click

from authserve.core.cli_output import print_result
from authserve.keys.cli import keys_group
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.rotation import rewrap
from authserve.mfa.totp import rewrap_secrets


@keys_group.command("rewrap")
def rewrap_() -> None:
    """Encrypt signing keys and TOTP secrets again, under the current SECRET_KEY.

    A TOTP secret that no secret decrypts stays as it is, and is counted. Run `flask audit rewrap`
    too. Once the last refresh tokens of the former secret have expired, remove that secret from
    SECRET_KEY_FALLBACKS.

    \b
    Example:
      flask keys rewrap
    """
    try:
        keys = rewrap()
    except SigningKeyUnavailableError as error:
        raise click.ClickException(f"Nothing was changed: {error.remedy}") from error
    secrets = unopened = 0
    for encrypted, skipped in rewrap_secrets():
        secrets, unopened = secrets + encrypted, unopened + skipped
    print_result(
        _describe(keys, secrets, unopened), keys=keys, totp_secrets=secrets, unopened=unopened
    )


def _describe(keys: int, secrets: int, unopened: int) -> str:
    done = f"{_counted(keys, 'key')} and {_counted(secrets, 'TOTP secret')} encrypted under the"
    text = f"{done} current SECRET_KEY."
    if unopened:
        text += f"\n{_counted(unopened, 'TOTP secret')} unchanged: no configured secret opens it."
    return text


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
