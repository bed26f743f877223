"""The kernel: small modules that depend on neither the database package nor any feature.

Every package may import it. Begin with `actor.py` (the caller of a use case), `events.py` (facts
that the audit trail records) and `errors.py` (refusals that clients receive).
"""
