"""Mailed links: proving an address, resetting a password, accepting an invitation.

Begin with `requests.py` (a link is asked for), `worker.py` (it is mailed) and `redeem.py` (it is
used, once).
"""
