"""The audit trail: every security event, written in the transaction of what it records."""
