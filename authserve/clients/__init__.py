"""Clients of OAuth: the apps and machines that an operator has registered, and their secrets.

`oidc` asks it which client a request names and what that client may do. It decides nothing about
users. Begin with `configuration.py`, the values of a client and their rules, then `registry.py`.
"""
