"""Counting, and the answer to Prometheus; loaded only with `METRICS_TOKEN`.

`metering.py` wires it. Begin with `counting.py`; `scraping.py` reads what the database knows.
"""
