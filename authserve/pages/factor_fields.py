"""Fields of forms for codes and passkeys."""

import json
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from authserve.core.errors import MalformedRequestError
from authserve.http.json_body import parse_json
from authserve.mfa.credential_schemas import AssertionCredentialSchema, RegistrationCredentialSchema
from authserve.mfa.schemas import DigitCode
from authserve.web.forms import Submission
from authserve.web.languages import mark, translate

PASSKEY_UNUSED = mark("The passkey was not used. Try again, or choose another way.")

_NAME = "credential"


class TypedCode(DigitCode):
    """A code as typed; apps and mails show it in groups, so spaces are removed.

    Args:
        digits: see `DigitCode`.
    """

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize("".join(str(value).split()), *args, **kwargs)
        return text


class Credential(fields.Nested):
    """The answer of a passkey as JSON, which the script of pages writes into a hidden field.

    Args:
        is_new: True for a passkey that the browser has made, False for one that it used.
    """

    def __init__(self, *, is_new: bool = False, required: bool = False) -> None:
        schema = RegistrationCredentialSchema if is_new else AssertionCredentialSchema
        super().__init__(schema, required=required)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            document = parse_json(str(value).encode())
        except MalformedRequestError as error:
            raise ValidationError("Not the JSON of a passkey.") from error
        return super()._deserialize(document, *args, **kwargs)


def write_options(public_key: Mapping[str, Any]) -> str:
    """Return the options of a passkey as a page carries them for the script."""
    return json.dumps(public_key, separators=(",", ":"))


def explain_credential(submission: Submission) -> Submission:
    """Replace the faults of a passkey's answer by a refusal: no person can mend its fields."""
    others = {n: f for n, f in submission.faults.items() if n.partition(".")[0] != _NAME}
    if len(others) < len(submission.faults):
        submission.refusal = translate(PASSKEY_UNUSED)
        submission.faults = others
    return submission
