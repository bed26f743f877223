"""Sessions: one row a sign-in, moved on by refreshes, ended by revocation.

`auth` starts and rotates them. Begin with `policy.py` (when a session is live) and `rotate.py`.
"""
