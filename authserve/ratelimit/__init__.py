"""Limits: the throttle of failed sign-ins, and the named limits of calls.

Use cases call `throttle.py` before they hash; routes declare limits of `policy.py`. Counters are in
the database, or in Redis for the named limits (`storage/`).
"""
