"""Input fields for emails, usernames, passwords and other values; each loads the stored form."""

import re
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, validate

from authserve.core.base64url import decode_base64url
from authserve.core.identifiers import (
    DISPLAY_NAME_MAX_LENGTH,
    EMAIL_MAX_LENGTH,
    InvalidIdentifierError,
    canonical_email,
    canonical_username,
    clean_display_name,
)
from authserve.core.ids import read_id
from authserve.core.languages import LANGUAGE_NAMES
from authserve.passwords.policy import MAX_LENGTH as MAX_PASSWORD_LENGTH
from authserve.passwords.policy import normalize_password

_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)
"""Date and time of RFC 3339 §5.6, with letters in either case."""

_RAW_FACTOR = 4
"""Raw input may be this many times as long as its stored form (decomposed letters, spaces)."""


PLAIN_TEXT_PATTERN = r"^[^\u0000]*$"
"""OpenAPI pattern for text without a narrower one: no call accepts a NUL (`check_text`)."""


def matches_pattern(pattern: str, *, error: str) -> validate.Regexp:
    """Return the rule that a text matches an OpenAPI pattern, which stands between `^` and `$`.

    In Python, `$` also matches before a final newline.
    """
    return validate.Regexp(pattern.replace("$", r"\Z"), error=error)


class EmailAddress(fields.String):
    """An email address, loaded in its canonical form."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("metadata", {"example": "alice@example.com", "format": "email"})
        super().__init__(validate=validate.Length(max=EMAIL_MAX_LENGTH), **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        if len(text) > _RAW_FACTOR * EMAIL_MAX_LENGTH:
            raise ValidationError("Not a valid email address.")
        return _canonical(canonical_email, text)


class Username(fields.String):
    """A username, loaded in lower case."""

    def __init__(self, **kwargs: Any) -> None:
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{1,30}[A-Za-z0-9]$"
        kwargs.setdefault("metadata", {"example": "alice", "pattern": pattern})
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        return _canonical(canonical_username, super()._deserialize(value, *args, **kwargs))


class DisplayName(fields.String):
    """A display name, loaded trimmed and composed (NFC).

    Args:
        max_length: greatest number of characters.
    """

    def __init__(self, *, max_length: int = DISPLAY_NAME_MAX_LENGTH, **kwargs: Any) -> None:
        kwargs.setdefault("metadata", {"example": "Alice Liddell"})
        super().__init__(validate=validate.Length(min=1, max=max_length), **kwargs)
        self._clean = partial(clean_display_name, max_length=max_length)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        return _canonical(self._clean, super()._deserialize(value, *args, **kwargs))


class Password(fields.String):
    """A password, loaded in NFC, otherwise unchanged; only its length is checked (ASVS 6.2.8).

    A password longer than the policy allows is refused before hashing, in the same way for every
    account.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("metadata", {"example": "correct horse battery staple"})
        super().__init__(validate=validate.Length(min=1, max=MAX_PASSWORD_LENGTH), **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        return normalize_password(super()._deserialize(value, *args, **kwargs))


class Locale(fields.String):
    """A language of mails and pages, one of the closed list."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("metadata", {"example": "de"})
        super().__init__(validate=validate.OneOf(list(LANGUAGE_NAMES)), **kwargs)


class StrictBoolean(fields.Boolean):
    """A boolean that accepts only `true` and `false`, not texts or numbers."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Not true or false.")
        return value


class TextList(fields.List[str]):
    """A list of texts without repetition, loaded as a tuple.

    Args:
        max_items: greatest number of texts.
        text: validators of each text.
    """

    def __init__(self, *, max_items: int, text: Any, **kwargs: Any) -> None:
        self._require_length = validate.Length(max=max_items)
        super().__init__(
            fields.String(validate=text),
            validate=self._require_length,
            error_messages={"invalid": 'Not a list of texts, such as ["a", "b"].'},
            **kwargs,
        )

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        loaded: Any = super()._deserialize(value, *args, **kwargs)
        self._require_length(loaded)
        # A repeated text means nothing, so it is dropped, and the order stays.
        return tuple(dict.fromkeys(loaded))


class StrictUUID(fields.UUID):
    """An id as the service writes it, in either letter case (RFC 9562 §4).

    Python's `UUID` also accepts braces, `urn:uuid:`, and hyphens anywhere or nowhere.
    """

    def _validated(self, value: Any) -> UUID:
        found = read_id(value) if isinstance(value, str) else None
        if found is None:
            raise self.make_error("invalid_uuid")
        return found


class MomentInput(fields.AwareDateTime):
    """A time in RFC 3339 with its offset, loaded as an aware `datetime`.

    Python also accepts weeks, a date without hyphens, and a space instead of the T.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("metadata", {"example": "2026-11-23T06:49:48Z"})
        super().__init__(format="iso", default_timezone=None, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime:
        if not (isinstance(value, str) and _DATE_TIME.fullmatch(value)):
            raise ValidationError("Not an RFC 3339 time with its offset.")
        try:
            found = super()._deserialize(value.upper(), *args, **kwargs)
            # In the first and last year, converting or adding margins could overflow.
            return found.astimezone(UTC) if 1 < found.year < 9999 else found.replace(tzinfo=UTC)
        except (OverflowError, TypeError) as error:
            raise ValidationError("Not a time.") from error


def _canonical(make: Any, text: str) -> str:
    try:
        form: str = make(text)
    except InvalidIdentifierError as error:
        raise ValidationError(str(error)) from error
    return form


class Base64Url(fields.String):
    """Bytes in base64url without padding (RFC 4648 §5)."""

    def __init__(self, max_length: int, **kwargs: Any) -> None:
        metadata = {"example": "AAECAwQFBgcICQoLDA0ODw", "maxLength": max_length}
        super().__init__(metadata=metadata, **kwargs)
        self._max_length = max_length

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, *args, **kwargs)
        if len(text) > self._max_length:
            raise ValidationError(f"At most {self._max_length} characters.")
        try:
            return decode_base64url(text)
        except ValueError as error:
            raise ValidationError("Not base64url without padding.") from error
