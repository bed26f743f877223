"""Signing up and in, refreshing, signing out: the use cases that start and move sessions.

The routes of `/api/v1/auth` call it. Begin with `login.py`; `queries.py` holds the statements that
join users, sessions and roles, the token check among them.
"""
