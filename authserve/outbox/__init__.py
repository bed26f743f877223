"""Messages owed: written with what owes them, delivered by `flask worker`.

Use cases call `enqueue.py` inside their transaction. Begin with `worker.py`, the loop that claims,
delivers and retries.
"""
