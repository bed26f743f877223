"""Is this deployment in order? What is set, from where, and what does not fit together."""
