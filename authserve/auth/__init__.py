"""Registration, login, refresh and logout: the use cases that start, continue and end sessions.

The routes of `/api/v1/auth` call it. Begin with `login.py`, then `start_session.py`. `queries.py`
holds the statements that join users, sessions and roles: they start, rotate and check a session.
"""
