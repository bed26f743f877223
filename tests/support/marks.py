"""Marks for the kinds of database that a test runs on; the closest to the test counts."""

import pytest

both_databases = pytest.mark.databases("sqlite", "postgresql")
"""For tests of statements, transactions, races, plans and refusals of a database."""

on_sqlite = pytest.mark.databases("sqlite")
on_postgresql = pytest.mark.databases("postgresql")
