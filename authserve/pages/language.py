"""The form at the foot of pages that changes their language. It is small since it does no more."""

from flask import Response, url_for
from marshmallow import fields

from authserve.core.errors import ValidationFailedError
from authserve.pages.blueprint import START, blueprint
from authserve.web.access import require_form_token
from authserve.web.browser_session import find_visitor
from authserve.web.forms import SignedInForm, read_form
from authserve.web.language_switch import read_back
from authserve.web.languages import FIELD, is_offered, remember_language
from authserve.web.rendering import see_other


class LanguageForm(SignedInForm):
    """A language, and the path of the page that it was chosen on."""

    lang = fields.String(required=True)
    back = fields.String(load_default="")


FORM = LanguageForm()


@blueprint.post("/language")
def set_language() -> Response:
    """Keep the language in the browser, and show the page again."""
    submission, visitor = read_form(FORM), find_visitor()
    if submission.faults or not is_offered(submission.values["lang"]):
        raise ValidationFailedError(submission.faults or {FIELD: ["No such language."]})
    values = submission.values
    if visitor is not None:
        require_form_token(visitor, values["token"])
    response = see_other(read_back(values["back"], default=url_for(START)))
    remember_language(response, values["lang"])
    return response
