"""Registration, login, refresh and logout: the use cases that start, continue and end sessions.

The routes of `/api/v1/auth` call it. Begin with `login.py`; `queries.py` holds the statements that
join users, sessions and roles, the token check among them.
"""
