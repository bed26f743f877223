"""Signing up, signing in, and the tokens that come of it: the orchestrator of the features."""
