"""Passwords: the policy for new ones, hashing, and hashes of other systems.

Use cases that take a password call it. Begin with `hasher.py`. `foreign_hashes/` has one codec per
format, which accepts or refuses a hash at import and verifies passwords with it.
"""
