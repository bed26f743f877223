"""Sessions: one row per sign-in; a refresh rotates it, a revocation ends it.

`auth` owns the statements that start and rotate them. Begin with `policy.py` (when a session is
live) and `revoke.py`.
"""
