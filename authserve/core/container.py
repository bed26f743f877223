"""Where the parts of the running application are found: the one bridge to Flask's context."""

from typing import Any

from flask import current_app


def component(name: str) -> Any:
    """The part that `app.py` registered as `name` in the application at work.

    Raises:
        RuntimeError: no application is at work.
        KeyError: it has no such part.
    """
    return current_app.extensions[name]
