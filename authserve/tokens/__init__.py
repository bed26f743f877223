"""Signed tokens: one way to sign and verify, one purpose key for each kind.

Begin with `signing.py`. What an access token says of its user is decided in `auth/tokens.py`.
"""
