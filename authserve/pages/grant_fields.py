"""The checkboxes of forms that also end grants beside sessions: the access of apps, and API keys.

It is small because two pages share it: signing out everywhere, and a sign-in of a stranger.
"""

from collections.abc import Mapping
from typing import Any

from authserve.auth.logout import OTHER_GRANTS
from authserve.core.frozen import frozen
from authserve.web.forms import Checkbox, SignedInForm
from authserve.web.languages import mark, translate


class GrantsForm(SignedInForm):
    """The base of these forms; a checkbox that the page does not show ends nothing."""

    apps = Checkbox()
    api_keys = Checkbox()


@frozen()
class Box:
    """A checkbox, which is ticked at first.

    Args:
        name: of its field.
        text: its label.
    """

    name: str
    text: str


_BOXES = {
    "apps": Box("apps", mark("End the access of all apps")),
    "api-keys": Box("api_keys", mark("Delete all API keys")),
}
"""By the names of `OTHER_GRANTS`."""


def list_boxes() -> list[Box]:
    """Return the checkboxes of the grants that features make."""
    found = (_BOXES[name] for name, _ in OTHER_GRANTS.get())
    return [Box(box.name, translate(box.text)) for box in found]


def find_ticked(values: Mapping[str, Any]) -> list[str]:
    """Return the names of the grants that the form's values end."""
    return [name for name, box in _BOXES.items() if values[box.name]]
