"""`flask keys`: signing keys from the command line."""

from typing import Any

import click

from authserve.core.actor import RequestInfo
from authserve.core.cli import Group
from authserve.core.cli_output import print_result, print_rows
from authserve.core.clock import to_rfc3339, to_rfc3339_or_none
from authserve.keys.policy import RotationCause
from authserve.keys.rotation import ListedKey, NewestKey, list_keys, rotate_all

keys_group = Group("keys", help="Signing keys: list, rotate, encrypt again.")


@keys_group.command("list")
def list_() -> None:
    """List every key, newest first: kid, algorithm, state, and its times.

    The states: published (not signing yet), active (signs now), retiring (its tokens are still
    accepted) and retired (its tokens are rejected).

    \b
    Example:
      flask keys list
    """
    print_rows(
        map(_document, list_keys()),
        columns={
            "KID": "kid",
            "ALG": "algorithm",
            "STATE": "state",
            "PUBLISHED": "published_at",
            "SIGNS FROM": "active_from",
            "RETIRES": "retire_at",
        },
        empty="There is no key yet; the service creates one at first use.",
    )


@keys_group.command("rotate")
@click.option(
    "--emergency",
    is_flag=True,
    help="Retire every older key at once, because a private key may be known to others.",
)
def rotate_(emergency: bool) -> None:
    """Create the next signing key of each algorithm; running workers load it within seconds.

    The new key is published now and signs some minutes later. The old key stays valid until its
    last token has expired, so clients are not affected.

    A key for RS256 exists only if an app needs one.

    With --emergency the new key signs at once, and every access token becomes invalid. Clients
    then use their refresh tokens.

    \b
    Examples:
      flask keys rotate
      flask keys rotate --emergency
    """
    cause = RotationCause.EMERGENCY if emergency else RotationCause.ORDER
    for newest in rotate_all(cause, request=RequestInfo(user_agent="flask keys rotate")):
        _print_newest(newest, is_emergency=emergency)


def _print_newest(newest: NewestKey, *, is_emergency: bool) -> None:
    active_from = to_rfc3339(newest.active_from)
    if is_emergency:
        text = f"{newest.kid} signs now; tokens of older keys are rejected."
    else:
        made = "is created" if newest.is_new else "was created already"
        text = f"{newest.kid} {made}, and signs from {active_from}."
    print_result(
        text,
        kid=newest.kid,
        algorithm=newest.algorithm,
        active_from=active_from,
        is_new=newest.is_new,
    )


def _document(key: ListedKey) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": key.state,
        "published_at": to_rfc3339(key.published_at),
        "active_from": to_rfc3339(key.active_from),
        "retire_at": to_rfc3339_or_none(key.retire_at),
    }
