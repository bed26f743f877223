"""The secrets of this service's clients at providers, encrypted under `SECRET_KEY`.

They outlive the feature: an operator who switches it off, changes `SECRET_KEY` and drops the former
one must find them whole later. So `flask keys rewrap` loads this module always, and it names the
table alone, without the modules of the feature.
"""

from sqlalchemy import LargeBinary, String, column, select, table, update

from authserve.core.crypto import KEYRING, UndecryptableError
from authserve.database.transactions import execute, read_all, transaction
from authserve.federation.errors import ProviderNotFoundError

PURPOSE = "provider-secret"
"""The name of the key that encrypts secrets."""

_TABLE = table(
    "identity_providers",
    column("slug", String()),
    column("issuer", String()),
    column("secret", LargeBinary()),
)


def seal_secret(slug: str, secret: str) -> bytes:
    """Return the form in which a provider's secret is stored.

    Args:
        slug: of the provider; the secret opens with no other.
    """
    return KEYRING.get().encrypt(PURPOSE, secret.encode(), context=slug.encode())


def unseal_secret(slug: str, sealed: bytes) -> str:
    """Return the secret in a stored form.

    Raises:
        UndecryptableError: no `SECRET_KEY` of this service decrypts it, or it is another slug's.
    """
    return KEYRING.get().decrypt(PURPOSE, sealed, context=slug.encode()).decode()


def read_secret(slug: str, *, issuer: str | None = None) -> str:
    """Return the secret of this service's client at a provider.

    Args:
        issuer: to which the secret is about to be sent; None if it is sent to no one.

    Raises:
        ProviderNotFoundError: there is no such provider, or it has another issuer.
        UndecryptableError: no `SECRET_KEY` of this service decrypts it.
    """
    return unseal_secret(slug, read_sealed_secret(slug, issuer=issuer))


def read_sealed_secret(slug: str, *, issuer: str | None = None) -> bytes:
    """Return a secret as it is stored.

    Args:
        issuer: see `read_secret`.

    Raises:
        ProviderNotFoundError: there is no such provider, or it has another issuer.
    """
    statement = select(_TABLE.c.secret).where(_TABLE.c.slug == slug)
    if issuer is not None:
        statement = statement.where(_TABLE.c.issuer == issuer)
    rows = read_all(statement)
    if not rows:
        raise ProviderNotFoundError
    sealed: bytes = rows[0].secret
    return sealed


def rewrap_secrets() -> tuple[int, int]:
    """Encrypt every secret with the current `SECRET_KEY`.

    Returns:
        The numbers of those that were encrypted anew, and of those that no key decrypts.
    """
    encrypted = skipped = 0
    with transaction():
        for row in read_all(select(_TABLE).with_for_update()):
            try:
                opened = unseal_secret(row.slug, row.secret)
            except UndecryptableError:
                skipped += 1
                continue
            values = {"secret": seal_secret(row.slug, opened)}
            execute(update(_TABLE).where(_TABLE.c.slug == row.slug).values(values))
            encrypted += 1
    return encrypted, skipped
