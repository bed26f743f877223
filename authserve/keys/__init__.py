"""Signing keys: made on first use, rotated, published as a JWKS.

Tokens are signed and verified with them. Begin with `policy.py` (the states of a key) and
`store.py` (the keys that a process holds).
"""
