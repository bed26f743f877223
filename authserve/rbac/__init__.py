"""Roles, the permissions they carry, and who holds them."""
