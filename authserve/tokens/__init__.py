"""Signed tokens: one way to sign and verify, one purpose key for each kind.

Begin with `signing.py`. `auth/tokens.py` decides which claims an access token holds.
"""
