"""Accounts: who they are, and their own profile."""
