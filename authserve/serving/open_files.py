"""The limit of open files, which include connections."""

import resource

MAX_OPEN_FILES = 65_536
"""Limits the number of open files that is requested (chosen: some code loops over all possible
ones)."""


def raise_open_file_limit() -> None:
    """Raise the soft limit up to the hard limit or `MAX_OPEN_FILES`; 1,024 is a common default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft not in (resource.RLIM_INFINITY, hard) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
