"""authserve: a lightweight, self-hosted authentication service."""
