"""The kernel: small modules that know neither the database nor any feature.

Every package may import it. Begin with `actor.py` (who acts), `events.py` (what happens) and
`errors.py` (what callers are answered).
"""
