"""The static pages that links lead to, for browsers. Begin with `routes.py`."""
