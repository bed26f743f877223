"""The audit trail: every security event, recorded in the transaction that causes it.

`app.py` subscribes `record.record` to all domain events, so features need not call this package.
Begin with `record.py`. `seal.py` chains events into batches, `checks.py` and `verify.py` detect
tampering, `retention.py` prunes old batches, and `worker.py` runs all of this.
"""
