"""Administration of other users' accounts, through the API and the `flask users` command.

Operators and administrators use it. Begin with `administration.py`; `sign_in_support.py` explains
why a user can or cannot sign in.
"""
