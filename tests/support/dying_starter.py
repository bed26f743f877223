"""A `flask` command that is killed, as by `kill -9`, when it sends its Nth statement.

Usage: python -m tests.support.dying_starter N ARGUMENT...
"""

import os
import signal
import sys
from itertools import count
from typing import Any

import flask.cli
from sqlalchemy import Engine, event

import authserve.app  # noqa: F401 - so that no statement is sent but the command's


def main() -> None:
    fatal, sys.argv[1:] = int(sys.argv[1]), sys.argv[2:]
    numbers = count(1)

    @event.listens_for(Engine, "after_cursor_execute")
    def die(*_: Any) -> None:
        if next(numbers) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    flask.cli.main()


if __name__ == "__main__":
    main()
