"""Metrics for Prometheus; loaded only if `METRICS_TOKEN` is set.

`features/metrics.py` adds it to an application. Begin with `counting.py` for what a process counts,
and with `scraping.py` for what is read from the database.
"""
