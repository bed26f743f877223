"""The kernel: what every feature stands on. It imports no other package of ours."""
