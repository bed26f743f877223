"""Errors of clients."""

from authserve.core.errors import ConflictError, NotFoundError


class ClientNotFoundError(NotFoundError):
    """No client has this id."""

    code = "client_not_found"
    default_detail = "There is no such client."


class ClientIdTakenError(ConflictError):
    """Another client has this id, or had it before it was deleted."""

    code = "client_id_taken"
    default_detail = "Another client has or had this id. An id is never used again."


class ClientSecretNotFoundError(NotFoundError):
    """The client has no secret of this id."""

    code = "client_secret_not_found"
    default_detail = "The client has no such secret."


class TooManySecretsError(ConflictError):
    """The client has two live secrets already."""

    code = "too_many_secrets"
    default_detail = "The client has two secrets. Delete the older one first."


class NoSecretsError(ConflictError):
    """The client's kind cannot keep a secret."""

    code = "client_without_secrets"
    default_detail = "Clients of this kind have no secret."
