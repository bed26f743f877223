"""The providers that people may sign in by, and whom one has identified.

It is small because `federation`, above, finds them.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

from authserve.core.actor import Actor
from authserve.core.container import Slot
from authserve.core.frozen import frozen


@frozen()
class SignInProvider:
    """A provider that people may sign in by.

    Args:
        slug: in the path of its form.
        name: on its button.
        opens_accounts: True if a person without an account may get one by it.
    """

    slug: str
    name: str
    opens_accounts: bool


SIGN_IN_PROVIDERS = Slot[Callable[[], Sequence[SignInProvider]]]("sign_in_providers")
"""Returns the enabled providers in the order of their buttons; empty without federation."""


def find_sign_in_providers() -> Sequence[SignInProvider]:
    """Return the enabled providers in the order of their buttons; none without federation."""
    find = SIGN_IN_PROVIDERS.find()
    return find() if find is not None else ()


LINKED_PROVIDERS = Slot[Callable[[UUID], Sequence[SignInProvider]]]("linked_providers")
"""Returns the enabled providers that open an account; empty without federation."""


def find_linked_providers(user_id: UUID) -> Sequence[SignInProvider]:
    """Return the enabled providers that open an account, in the order of their buttons."""
    find = LINKED_PROVIDERS.find()
    return find(user_id) if find is not None else ()


IDENTIFIED_PERSON = Slot[Callable[[], Actor | None]]("identified_person")
"""Returns whom a provider has identified in this browser; empty without federation."""


def find_identified_person() -> Actor | None:
    """Return the person whom a provider has just identified, and who may not sign in yet.

    Without a cookie of a sign-in in progress, it sends no statement.
    """
    find = IDENTIFIED_PERSON.find()
    return find() if find is not None else None
