"""Sessions: one row per sign-in; a refresh rotates it, a revocation ends it.

`auth` starts and rotates them. Begin with `policy.py` (when a session is live) and `rotate.py`.
"""
