"""Memory of the workers: what they share with the master, and how malloc keeps what they freed.

Only the master runs this, before it forks. Without the module, its reasons would fill half of
`gunicorn.conf.py`.
"""

import ctypes

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.orm import configure_mappers

M_ARENA_MAX = -8
"""The parameter of `mallopt` for the greatest number of arenas (glibc's malloc.h)."""


def use_one_malloc_arena() -> None:
    """Let all threads of this process and of its workers allocate in one arena of glibc's malloc.

    By default the threads of a process use up to eight arenas for each core, and each arena keeps
    memory that its threads have freed: 7 MB a worker after sign-ins (measured). Threads rarely
    wait for the arena, because most allocate while they hold the interpreter's lock: the CPU time
    of a sign-in stayed the same (measured). Other C libraries have no `mallopt`, and nothing
    changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def load_before_fork() -> None:
    """Do what each worker would otherwise do at its first statement and its first signature.

    Configuring the ORM's mappers and loading OpenSSL's algorithms write to many pages, so that each
    worker would have its own copy of them: 6 MB a worker (measured). OpenSSL seeds its random
    numbers anew in a forked process.
    """
    configure_mappers()
    ec.generate_private_key(ec.SECP256R1()).sign(b"", ec.ECDSA(hashes.SHA256()))
