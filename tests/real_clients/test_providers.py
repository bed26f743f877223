"""A provider made with npm's oidc-provider, which is certified: people sign in by it."""

import pytest

from tests.real_clients.conftest import ACCOUNT, sign_in_elsewhere
from tests.support.http_browser import HTTPBrowser
from tests.support.site import Site


@pytest.mark.usefixtures("provider")
def test_a_person_signs_in_by_it_and_comes_back_to_the_same_account(site: Site) -> None:
    for _ in range(2):
        browser = HTTPBrowser()
        shown = sign_in_elsewhere(browser, browser.open(f"{site.url}/sign-in"))
        assert browser.url == f"{site.url}/account", shown.html
        # Its ID token has the subject alone; name and address are at userinfo.
        assert ACCOUNT["name"] in shown.text
        assert ACCOUNT["email"] in shown.text
