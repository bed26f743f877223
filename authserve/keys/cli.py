"""`flask keys`: signing keys from the command line."""

import json
from typing import Any

import click
from flask.cli import AppGroup

from authserve.core.actor import RequestInfo
from authserve.core.cli import tell_errors
from authserve.core.clock import to_rfc3339
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.service import ListedKey, RotationCause, list_keys, rewrap, rotate

keys_group = AppGroup("keys", help="Signing keys: list, rotate, seal anew.")


@keys_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@tell_errors
def list_(as_json: bool) -> None:
    """List every key, newest first: kid, state, and when it signs and is believed.

    A key is published before it is active; retiring while tokens that it signed may live; and
    retired.

    \b
    Example:
      flask keys list
    """
    keys = list_keys()
    if not keys:
        click.echo("There is no key yet; the first that is needed is made by itself.", err=True)
    for key in keys:
        document = _document(key)
        if as_json:
            click.echo(json.dumps(document))
        else:
            click.echo("\t".join(value or "-" for value in document.values()))


@keys_group.command("rotate")
@click.option(
    "--emergency",
    is_flag=True,
    help="Believe no older key any more: the private key may be in wrong hands.",
)
@tell_errors
def rotate_(emergency: bool) -> None:
    """Make the next signing key; running workers follow within seconds.

    It is published now and signs some minutes later, and the old key stays until its last token
    has expired, so nobody notices. With --emergency it signs at once, and every access token
    ends: clients go on with their refresh tokens.

    \b
    Examples:
      flask keys rotate
      flask keys rotate --emergency
    """
    cause = RotationCause.EMERGENCY if emergency else RotationCause.ORDER
    newest = rotate(cause, request=RequestInfo(user_agent="flask keys rotate"))
    if emergency:
        click.echo(f"{newest.kid} signs now; no older key is believed any more.")
    elif newest.is_new:
        click.echo(f"{newest.kid} is made, and signs from {to_rfc3339(newest.active_from)}.")
    else:
        click.echo(
            f"{newest.kid} was made already, and signs from {to_rfc3339(newest.active_from)}."
        )


@keys_group.command("rewrap")
@tell_errors
def rewrap_() -> None:
    """Seal the private keys anew under the current SECRET_KEY.

    After this and `flask audit rewrap`, and once the last refresh tokens of the former secret
    have expired, it can be dropped from SECRET_KEY_FALLBACKS.

    \b
    Example:
      flask keys rewrap
    """
    try:
        count = rewrap()
    except SigningKeyUnavailableError as error:
        raise click.ClickException(f"Nothing was changed: {error.remedy}") from error
    keys = "key" if count == 1 else "keys"
    click.echo(f"{count} {keys} sealed under the current SECRET_KEY.")


def _document(key: ListedKey) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "state": key.state,
        "published_at": to_rfc3339(key.published_at),
        "active_from": to_rfc3339(key.active_from),
        "retire_at": to_rfc3339(key.retire_at) if key.retire_at else None,
    }
