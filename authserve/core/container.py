"""Access to the components of the running application: the only bridge to Flask's context."""

from typing import Any

from flask import current_app


def component(name: str) -> Any:
    """Return the component that is registered as `name` in the current application.

    Raises:
        RuntimeError: there is no application context.
        KeyError: the application has no such component.
    """
    return current_app.extensions[name]
