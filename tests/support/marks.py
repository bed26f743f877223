"""Marks that several test modules share."""

import pytest

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests to which the kind of database makes no difference."""
