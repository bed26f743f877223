"""One-time links: verify or change an address, reset a password, accept an invitation.

Begin with `requests.py` (a link is requested), `worker.py` (it is mailed) and `redeem.py` (it is
used, once).
"""
