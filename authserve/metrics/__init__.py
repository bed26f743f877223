"""Counting what happens, and `/metrics`, which tells Prometheus of it."""
