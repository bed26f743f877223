"""Accounts: making, finding, changing, deleting them, and their passwords.

Other features call its use cases and subscribe to its events. Begin with `accounts.py`;
`lists.py` and `search.py` answer lists.
"""
