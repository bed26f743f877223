"""Forward authentication: a reverse proxy asks for each request whether its user may see an app.

The app itself does not use OAuth. Its host has a cookie of its own, which holds a session of kind
`proxy` under the browser's session; so a sign-out ends it at once. Begin with `policy.py`, the
decision on a request, then `check.py`, which makes it, and `sign_in.py`, the way to the cookie.
"""
