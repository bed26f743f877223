"""Accounts: create, find, change and delete them, and their passwords.

Other features call its use cases and subscribe to its events. Begin with `accounts.py`;
`lists.py` and `search.py` return lists of accounts.
"""
