"""The database: engine, transactions, circuit breaker, differences of PostgreSQL and SQLite.

Every package above may import it. Begin with `transactions.py`: `transaction()` writes,
`read_all()` reads; `statements.py` has what tables and statements are made of. `circuit.py` and
`watchdog.py` make callers fail fast during an outage.
"""
