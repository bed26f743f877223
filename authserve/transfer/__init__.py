"""Moving people in and out: accounts with their password hashes, so that no user is locked in."""
