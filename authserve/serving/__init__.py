"""How gunicorn serves: requests and responses in memory, refusals, shared connections, the stop.

Every override of gunicorn is here, for the version that `core.server_version` names;
`gunicorn.conf.py` imports none of it with another one.
"""
