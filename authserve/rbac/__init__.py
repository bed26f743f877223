"""Roles, their permissions, and the users who hold them.

Begin with `policy.py` (the closed list of permissions) and `assignment.py` (who may grant what).
"""
