"""What is owed to the outside: written with the use case, delivered by the worker, never lost."""
