"""The audit trail: every security event, recorded in the transaction that causes it.

`app.py` subscribes `record.record` to all domain events, so features need not call this package.
Begin with `record.py`; `seal.py` and `verifying/` make tampering detectable.
"""
