"""Import and export of accounts, with their password hashes.

Operators use it through `flask users import`, `flask users seed` and `flask users export`. Begin
with `import_users.py`; `decisions.py` decides on each row, and `sources.py` lists the formats of
other systems.
"""
