"""Passwords: the policy for new ones, hashing, and hashes of other systems.

Use cases that take a password call it. Begin with `hasher.py`; `foreign_hashes/` has one codec a
format, which decides what is imported and verifies it.
"""
