"""Signed tokens: access, refresh and device tokens, and how each kind is signed and verified.

Below `sessions` and `users`: it takes and returns plain values. Begin with `signing.py`, then
`access.py`, whose `LiveSession` every token is issued from.
"""
