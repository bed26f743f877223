"""The names of apps that hold sessions. It is small because the apps belong to a package above.

Without the identity provider there is no registry to ask, and an app is named by its id.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

from authserve.core.container import Slot

CLIENT_NAMES = Slot[Callable[[Collection[str]], Mapping[str, str]]]("client_names")
"""Returns the names of some clients by their ids; it leaves out those that are gone."""


def find_client_names(client_ids: Iterable[str | None]) -> dict[str, str]:
    """Return a name for each client; None is left out."""
    ids = {client_id for client_id in client_ids if client_id is not None}
    find = CLIENT_NAMES.find() if ids else None
    known = find(ids) if find is not None else {}
    return {client_id: known.get(client_id, client_id) for client_id in ids}
