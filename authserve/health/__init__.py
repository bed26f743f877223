"""Readiness, draining, and `flask doctor`.

Probes and operators call it. Begin with `routes.py` for `/healthz` and `/readyz`, with `doctor.py`
for the checks of a deployment.
"""
