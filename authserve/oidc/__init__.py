"""The identity provider: apps sign their users in through this service (OpenID Connect, OAuth 2.1).

A grant is a session of kind `app`, so rotation, reuse, listing and revocation are those of all
sessions. Begin with `authorize_request.py`, what an app asks for, then `policy.py`, the one
decision that answers it. Errors of OAuth's form exist in this package alone.
"""
