"""Certificates of an authority that only tests trust."""

import ssl

import trustme


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """Return the TLS context of a server that proves to be `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context
