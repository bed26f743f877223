"""Pages that people use: signing in and out, signing up, mailed links, the account.

Only `features/` imports it, and only if `FEATURES` names `pages`. It has no use case of its own:
each page calls what the API calls. Begin with `routes.py`, then `sign_in.py`.
"""
