"""The headers in which a proxied application learns who its user is.

It is small because the decision needs nothing of it.
"""

from urllib.parse import quote

from authserve.forwardauth.queries import ProxiedSession

_ASCII = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
"""Characters that stay as they are. The percent sign does not, or a decoder could not tell an
encoded name from one that looks so."""


def identity_headers(session: ProxiedSession) -> dict[str, str]:
    """Return the headers about the user of a session.

    All five are always there, perhaps empty. So a proxy that copies them replaces every header of
    these names that the client has sent.
    """
    row = session.row
    has_name = row.remote_user == "username" and row.username is not None
    texts = {
        "Remote-User": row.username if has_name else str(row.id),
        "Remote-Id": str(row.id),
        # Applications take an address for the person, so one that is not verified is left out.
        "Remote-Email": row.email if row.email_verified else "",
        "Remote-Name": row.display_name or "",
        "Remote-Groups": ",".join(_groups(session)),
    }
    return {name: quote(text, safe=_ASCII) for name, text in texts.items()}


def _groups(session: ProxiedSession) -> list[str]:
    """Return the names of the effective roles, like the claim `groups`."""
    prefix, roles = session.row.role_prefix, session.found.actor.roles
    return [role.removeprefix(prefix) for role in roles if role.startswith(prefix)]
