"""authserve: a lightweight, self-hosted authentication service."""

__version__ = "0.2.0"
