"""Sign-in by other providers: a provider identifies a person, whose account is found or opened.

Begin with `policy.py`, the decision about the account; the other modules gather its input and
carry it out.
"""
