"""Claims that a client maps from an account: a closed set of sources, and no scripts."""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from authserve.core.frozen import frozen

MAX_CLAIMS = 20
"""Limits the mapped claims of a client (design)."""

MAX_MAP_ENTRIES = 50
"""Limits the roles that one claim maps (chosen)."""

MAX_VALUE_LENGTH = 200
"""Limits a constant or mapped value, in characters (chosen)."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]{0,99}")

PROTOCOL_CLAIMS = frozenset(
    {
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "typ", "cnf", "act", "events"),
        *("auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash", "sid"),
        *("scope", "client_id", "type", "fresh"),
        *("name", "locale", "updated_at", "email", "email_verified", "groups"),
    }
)
"""Claims whose meaning this service defines: of the protocol, and of the identity scopes. Only
`preferred_username` may have another source."""


OWN_TOKEN_CLAIMS = frozenset({"roles"})
"""Further claims of this service's own access tokens. Services that read them must not find them in
an app's, whose scope says what it may do: a constant could name any role."""


class ClaimSource(StrEnum):
    """The data of an account, or a constant, from which a claim is made."""

    USERNAME = "username"
    EMAIL = "email"
    ID = "id"
    DISPLAY_NAME = "display_name"
    ROLES = "roles"
    PERMISSIONS = "permissions"
    CONST = "const"


class ClaimPlace(StrEnum):
    """A document that can carry a claim."""

    ID_TOKEN = "id_token"
    USERINFO = "userinfo"
    ACCESS_TOKEN = "access_token"


@frozen(kw_only=True)
class ClaimRule:
    """One mapped claim.

    Args:
        value: of a constant.
        role_values: pairs of a role and a value; the first role that the user holds decides.
            Only for `ClaimSource.ROLES`; without pairs, the claim is the list of the roles.
        default: the value if no pair matches; without it, the claim is left out.
        places: where the claim appears.
    """

    name: str
    source: ClaimSource
    value: str | None = None
    role_values: tuple[tuple[str, str], ...] = ()
    default: str | None = None
    places: tuple[ClaimPlace, ...] = (ClaimPlace.ID_TOKEN, ClaimPlace.USERINFO)


def rule_from_document(document: Mapping[str, Any]) -> ClaimRule:
    """Return the rule of a document in the API's form, which `schemas.ClaimSchema` has loaded."""
    return ClaimRule(
        name=document["name"],
        source=ClaimSource(document["from"]),
        value=document.get("value"),
        role_values=tuple((role, value) for role, value in document.get("map") or ()),
        default=document.get("default"),
        places=tuple(map(ClaimPlace, document["in"])),
    )


def rule_document(rule: ClaimRule) -> dict[str, Any]:
    """Return a rule in the API's form, without what is not set."""
    document: dict[str, Any] = {"name": rule.name, "from": rule.source.value}
    if rule.value is not None:
        document["value"] = rule.value
    if rule.role_values:
        document["map"] = [list(pair) for pair in rule.role_values]
    if rule.default is not None:
        document["default"] = rule.default
    return {**document, "in": [place.value for place in rule.places]}


def find_claim_faults(rules: tuple[ClaimRule, ...]) -> Iterator[str]:
    """Yield a sentence for each fault of a client's mapped claims."""
    if len(rules) > MAX_CLAIMS:
        yield f"At most {MAX_CLAIMS} claims."
    names = [rule.name for rule in rules]
    if len(set(names)) != len(names):
        yield "A claim is mapped twice."
    for number, rule in enumerate(rules, start=1):
        if _NAME.fullmatch(rule.name) is None or rule.name in PROTOCOL_CLAIMS:
            yield f"Claim {number} has a name that no claim can have."
        elif (rule.source is ClaimSource.CONST) != (rule.value is not None):
            yield f"Claim {number}: a constant has a value, and no other source has one."
        elif (rule.role_values or rule.default) and rule.source is not ClaimSource.ROLES:
            yield f"Claim {number}: only roles can be mapped to values."
        elif rule.name in OWN_TOKEN_CLAIMS and ClaimPlace.ACCESS_TOKEN in rule.places:
            yield f"Claim {number}: only this service's own access tokens have it."
        elif not rule.places:
            yield f"Claim {number}: it must appear somewhere."
