"""How often: counters in the service's own database, exact over all workers and machines."""
