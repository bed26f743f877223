"""One-time links: proving an address, resetting a password, changing an address, inviting."""
