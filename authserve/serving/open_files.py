"""How many files a server may have open, connections included."""

import resource

MAX_OPEN_FILES = 65_536
"""Limits what is asked for where the system sets no limit (chosen: some code goes through all)."""


def raise_open_file_limit() -> None:
    """Raise the soft limit as far as the system allows; 1,024 is a common default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft not in (resource.RLIM_INFINITY, hard) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
