"""Sign-in by others: people arrive with what another provider says about them.

Start with `policy.py`, which decides whose account that is; everything else only gathers what it
has to know.
"""
