"""The database: engine, transactions, circuit breaker, and what both kinds spell differently.

Every package above may import it. Begin with `transactions.py`: `transaction()` writes,
`read_all()` reads. `circuit.py` and `watchdog.py` keep an absent server from holding up callers.
"""
