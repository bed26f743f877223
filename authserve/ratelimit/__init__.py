"""Limits: the throttle of failed sign-ins, and the named limits of calls.

Use cases call `throttle.py` before they hash; routes declare limits of `policy.py`. Counters are
in the database; those of named limits can be in Redis (`storage.py`).
"""
