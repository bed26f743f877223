"""API keys: secrets with which a user's own programs call the API in the user's name.

A key has scopes of its own, and never more rights than its owner has at the time of the call. It
cannot manage keys, and it is never fresh. Begin with `policy.py`, what a key may do, then
`create.py` and `authenticate.py`. Calls and pages use the modules of use cases; only `features/`
imports the package's routes and commands.
"""
