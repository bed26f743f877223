"""Readiness, draining, and `flask doctor`.

Probes and operators use it. Begin with `routes.py` for `/healthz` and `/readyz`, or with
`doctor.py` for the checks of a deployment.
"""
