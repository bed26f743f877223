"""Import and export of accounts, with their password hashes.

Operators call it by `flask users import` and `export`. Begin with `cli.py`; `sources.py` knows the
exports of other systems.
"""
