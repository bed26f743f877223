"""Sessions: one row for each sign-in, from its start to its end."""
