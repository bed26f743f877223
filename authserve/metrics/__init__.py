"""Metrics for Prometheus; loaded only if `METRICS_TOKEN` is set.

`metering.py` wires the package. Begin with `counting.py` for what a process counts, and with
`scraping.py` for what is read from the database.
"""
