"""The form at the foot of pages that changes their language. It is small since it does no more."""

from flask import Response
from marshmallow import fields

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.errors import ValidationFailedError
from authserve.core.languages import LANGUAGE_NAMES
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.pages.blueprint import blueprint, path_to_target
from authserve.ratelimit.policy import CHANGE_PROFILE
from authserve.users.accounts import update_profile
from authserve.users.own_account import on_own_account
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
    """Keep the language in browser and account, and show the page again."""
    submission, visitor = read_form(FORM), find_visitor()
    if submission.faults or not is_offered(submission.values["lang"]):
        raise ValidationFailedError(submission.faults or {FIELD: ["No such language."]})
    values = submission.values
    if visitor is not None:
        require_form_token(visitor, values["token"])
        if visitor.is_enough and values["lang"] in LANGUAGE_NAMES:
            _store(visitor, values["lang"])
    response = see_other(read_back(values["back"], default=path_to_target("")))
    remember_language(response, values["lang"])
    return response


@limited(CHANGE_PROFILE)
@on_own_account
def _store(visitor: BrowserSession, language: str) -> None:
    """Make it the language of the account's mails too."""
    update_profile(
        visitor.actor.signed_in_user,
        {"locale": language},
        actor=visitor.actor,
        request=current_request_info(),
    )
