"""Import and export of accounts, with their password hashes.

Operators use it through `flask users import` and `flask users export`. Begin with `cli.py`;
`sources.py` defines the formats of other systems.
"""
