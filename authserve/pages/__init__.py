"""The static pages that mailed links lead to.

Browsers ask for them. Begin with `routes.py`.
"""
