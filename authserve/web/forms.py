"""Forms over the schemas of the API: an HTML form in, typed values or faults by field out.

The page of a form shows what was sent again, but for secrets, beside a fault for each field.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flask import Response, request
from marshmallow import Schema, ValidationError, fields

from authserve.core.errors import AuthserveError, RetryableError, ValidationFailedError
from authserve.core.frozen import frozen
from authserve.http.errors import refusal_headers, status_of
from authserve.http.json_body import FORM_TYPE, parse_form, read_body, require_media_type
from authserve.http.openapi import flatten
from authserve.http.request_info import request_state
from authserve.http.schemas import StrictSchema
from authserve.settings.model import SETTINGS, brand_name
from authserve.web.api_texts import in_page_words
from authserve.web.languages import in_words, translate

UNPROCESSABLE = 422

SECRET_FIELDS = frozenset(
    {
        "password",
        "new_password",
        "current_password",
        "code",
        "email_code",
        "recovery_code",
        "credential",
    }
)
"""Fields whose values no page shows again."""


class PageForm(StrictSchema):
    """The base of every form: the token of the person's target."""

    continue_ = fields.String(data_key="continue", load_default="")


class SignedInForm(PageForm):
    """The base of forms of a signed-in browser: the token of its session."""

    token = fields.String(load_default="")


class Checkbox(fields.Field[bool]):
    """A checkbox, which browsers send only if it is ticked."""

    def __init__(self) -> None:
        super().__init__(load_default=False)

    def _deserialize(self, *_args: Any, **_kwargs: Any) -> bool:
        return True


@dataclass(slots=True)
class Submission:
    """A form as it was sent, or an empty one to be shown first.

    Attributes:
        given: the texts, by field, that a page may show again.
        values: by field, in the form that use cases take; empty if there are faults.
        faults: texts by field.
        refusal: the text of a refusal of the whole form.
        offers: names of what the page adds to the refusal, such as a way on.
        status, headers: of the page that shows it.
    """

    given: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    refusal: str = ""
    offers: frozenset[str] = frozenset()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """True if the page has to name a fault."""
        return bool(self.refusal or self.faults)


def read_form(schema: Schema) -> Submission:
    """Return the form in the body of the current request.

    Raises:
        UnsupportedMediaTypeError, PayloadTooLargeError, MalformedRequestError: the body is no form,
            or has a field twice.
    """
    raw = read_body(request)
    if raw:
        require_media_type(request, FORM_TYPE)
    sent = parse_form(raw) if raw else {}
    shown = {name: text for name, text in sent.items() if name not in SECRET_FIELDS}
    submission = Submission(given=shown)
    try:
        # Browsers send an empty text for a field that was left out.
        submission.values = schema.load({name: text for name, text in sent.items() if text})
    except ValidationError as error:
        submission.faults = in_page_words(flatten(error.messages_dict))
    return submission


@frozen()
class Explanation:
    """A page's explanation of one refusal of a use case.

    Args:
        text: may have the places `wait` and `brand`.
        at: the field that it belongs to; empty if it concerns the whole form.
        offers: see `Submission`.
    """

    text: str
    at: str = ""
    offers: frozenset[str] = frozenset()


Explanations = Mapping[type[AuthserveError], Explanation]


def submit(
    submission: Submission,
    act: Callable[[dict[str, Any]], Response],
    *,
    show: Callable[[Submission], Response],
    explanations: Explanations,
) -> Response:
    """Return the answer to a form: what `act` returns, or the form's page with what is at fault.

    Args:
        act: calls the use case with the form's values.
        show: renders the form's page from a submission.
        explanations: of the refusals that the page itself explains; others get the error page.
    """
    submission.status = UNPROCESSABLE
    try:
        if not submission.is_refused:
            return act(submission.values)
    except ValidationFailedError as error:
        request_state().refusal_code = error.code
        submission.faults = in_page_words(error.errors)
    except AuthserveError as error:
        explanation = _find(explanations, error)
        if explanation is None:
            raise
        request_state().refusal_code = error.code
        _explain(submission, explanation, error)
        if isinstance(error, RetryableError):
            submission.status, submission.headers = status_of(error), refusal_headers(error)
    return show(submission)


def _find(explanations: Explanations, error: AuthserveError) -> Explanation | None:
    """Return the explanation of an error's nearest class."""
    known = (explanations[kind] for kind in type(error).__mro__ if kind in explanations)
    return next(known, None)


def _explain(submission: Submission, explanation: Explanation, error: AuthserveError) -> None:
    secs = (error.retry_after_secs or 1) if isinstance(error, RetryableError) else 1
    wait, brand = in_words(timedelta(seconds=secs)), brand_name(SETTINGS.get())
    text = translate(explanation.text, wait=wait, brand=brand)
    if explanation.at:
        submission.faults = {explanation.at: [text]}
    else:
        submission.refusal = text
    submission.offers = explanation.offers
