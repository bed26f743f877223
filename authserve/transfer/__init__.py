"""Moving people in and out: accounts with their password hashes, so that nobody is locked in."""
