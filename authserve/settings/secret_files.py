"""Private files that the service creates once, also if several of its processes start together."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

_SECRET_BYTES = 48
"""256 bits are enough (ASVS 11.2.3 requires 128); 48 bytes give 64 characters without padding."""


def make_folder(path: Path) -> None:
    """Create a folder that only its owner can enter (0700); an existing folder is not changed.

    The parent must exist, so that a mistyped path is reported and not created.

    Raises:
        OSError: the folder cannot be created, or the name belongs to something else.
    """
    path.mkdir(mode=0o700, exist_ok=True)


def read_or_make_secret(path: Path) -> str:
    """Return the secret in a file; if the file is missing, create it first (0600).

    Processes that call this at the same time all return the same secret, because only the first
    one gives its file the name.

    Args:
        path: the file, in a folder that exists.

    Returns:
        The file's text without the newline at its end.

    Raises:
        OSError: the file cannot be read or created.
        UnicodeDecodeError: the file is not UTF-8 text.
    """
    if not path.exists():
        _write_once(path, secrets.token_urlsafe(_SECRET_BYTES) + "\n")
    return path.read_text(encoding="utf-8").removesuffix("\n")


def make_private_file(path: Path) -> None:
    """Create an empty file that only its owner can read (0600); an existing file is not changed.

    The file gets its name only after it was closed, because closing a SQLite file releases all
    locks that the process has on it (sqlite.org/howtocorrupt.html §2.2).

    Raises:
        OSError: the file cannot be created.
    """
    if not path.exists():
        _write_once(path, "")


def _write_once(path: Path, text: str) -> None:
    # A hard link names a finished file, and fails if the name is taken. So no process reads half a
    # secret or overwrites one. `mkstemp` opens with O_EXCL and mode 0600.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
