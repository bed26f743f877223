"""The account: who is signed in here, and the way out. Further pages of it follow."""

from flask import Response

from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import START, blueprint
from authserve.web.access import require_signed_in


@blueprint.get("/account")
def show_account() -> Response:
    """Show the account."""
    session = require_signed_in()
    return account_page("account.html", visitor=session, below=START, account=session.account)
