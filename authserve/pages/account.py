"""The account: who is signed in here, and the way out. Further pages of it follow."""

from flask import Response

from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import START, blueprint, link_to
from authserve.web.browser_session import find_signed_in
from authserve.web.continuation import to_current_page, write_continuation
from authserve.web.rendering import see_other


@blueprint.get("/account")
def show_account() -> Response:
    """Show the account; lead a person who is not signed in to the form, and back."""
    visitor = find_signed_in()
    if visitor is None:
        return see_other(link_to("pages.show_sign_in", write_continuation(to_current_page()) or ""))
    return account_page("account.html", visitor=visitor, below=START, account=visitor.account)
