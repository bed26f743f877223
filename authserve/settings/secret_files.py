"""Files that the service makes once, for itself alone, however many of its processes start."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

_SECRET_BYTES = 48
"""256 bits are enough (ASVS 11.2.3 asks for 128); these fill 64 characters with no padding."""


def make_folder(path: Path) -> None:
    """Make a folder that only its owner enters (0700); one that exists stays as it is.

    Its parent must exist: a path with a slip in it is reported rather than made.

    Raises:
        OSError: it cannot be made, or something else has its name.
    """
    path.mkdir(mode=0o700, exist_ok=True)


def read_or_make_secret(path: Path) -> str:
    """Read the secret in a file; when there is none, make it there first, for its owner only.

    However many processes call this at once, they all return the same secret: what counts is the
    file that got its name first.

    Args:
        path: the file, in a folder that exists.

    Returns:
        The file's text without the newline at its end.

    Raises:
        OSError: the file can be neither read nor made.
        UnicodeDecodeError: it holds something else.
    """
    if not path.exists():
        _write_once(path, secrets.token_urlsafe(_SECRET_BYTES) + "\n")
    return path.read_text(encoding="utf-8").removesuffix("\n")


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner reads (0600); one that exists stays as it is.

    The file gets its name after it was closed, as closing a SQLite file ends all locks that the
    process has on it (sqlite.org/howtocorrupt.html §2.2).

    Raises:
        OSError: it cannot be made.
    """
    if not path.exists():
        _write_once(path, "")


def _write_once(path: Path, text: str) -> None:
    # A hard link gives a finished file its name, and fails when the name is taken: nobody ever
    # reads half a secret, and nobody overwrites one. `mkstemp` opens with O_EXCL and mode 0600.
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
