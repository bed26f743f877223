"""The transactional outbox: use cases enqueue messages, `flask worker` delivers them.

Use cases call `enqueue.py` inside their transaction. Begin with `worker.py`, the loop that claims,
delivers and retries.
"""
