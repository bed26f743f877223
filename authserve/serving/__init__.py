"""gunicorn's worker for authserve: buffered requests, refusals, draining.

Every override of gunicorn is here, for the version that `core.gunicorn_version` names. With
another version, `gunicorn.conf.py` imports only `sockets`.
"""
