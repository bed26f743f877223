"""The audit trail: every security event, recorded in the transaction of what it reports.

`app.py` subscribes `record.record` to all domain events, so no feature calls this package. Begin
with `record.py`; `seal.py` and `verifying/` make changes of the trail visible.
"""
