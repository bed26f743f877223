"""Roles and permissions, and who holds them.

Begin with `policy.py` (the closed list of permissions) and `assignment.py` (who may grant what).
"""
