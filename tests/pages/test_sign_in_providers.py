"""The buttons of providers on the pages to sign in and to open an account."""

from collections.abc import Callable, Sequence
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

import pytest
from flask import Flask

from authserve.database.transactions import db
from authserve.settings.model import Registration
from authserve.web.sign_in_providers import SIGN_IN_PROVIDERS, SignInProvider
from tests.support.browsing import Shown, Visit
from tests.support.databases import executed
from tests.support.oauth_clients import CALLBACK, give_client

GOOGLE = SignInProvider("google", "Google", opens_accounts=True)
WORK = SignInProvider("work", "Example & <Sons>", opens_accounts=False)
GITHUB = SignInProvider("github", "GitHub", opens_accounts=True)
GITLAB = SignInProvider("gitlab", "GitLab", opens_accounts=True)

PASSKEY, CODE = "Sign in with a passkey", "Email me a code"

ALL = (GOOGLE, WORK, GITHUB, GITLAB)


def offer(app: Flask, *providers: SignInProvider) -> Visit:
    """Return a visit to an application with these providers."""
    SIGN_IN_PROVIDERS.fill(app, lambda: providers)
    return Visit(app)


def labels(element: Element) -> list[str]:
    """Return the words of the buttons in an element, but for those of scripts."""
    return [
        " ".join(" ".join(each.itertext()).split())
        for each in element.iter()
        if "full" in each.get("class", "").split()
    ]


def fold(shown: Shown) -> Element:
    """Return the folded part of a page."""
    (element,) = shown.tree.iter("details")
    return element


def main(shown: Shown) -> Element:
    found = shown.tree.find(".//main")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("providers", "standing", "folded"),
    [
        ((), [PASSKEY, CODE], []),
        ((GOOGLE,), [PASSKEY, "Continue with Google"], [CODE]),
        (
            (WORK, GOOGLE, GITHUB),
            [PASSKEY, "Continue with Example & <Sons>"],
            ["Continue with Google", "Continue with GitHub", CODE],
        ),
    ],
    ids=["none", "one", "three"],
)
def test_two_ways_stand_and_the_others_are_folded(
    make_app: Callable[..., Flask],
    providers: Sequence[SignInProvider],
    standing: list[str],
    folded: list[str],
) -> None:
    app = make_app(features=("pages",))
    shown = offer(app, *providers).open("/sign-in")
    assert labels(main(shown)) == ["Sign in", *standing, *folded]
    if folded:
        assert labels(fold(shown)) == folded


def test_without_passkeys_two_providers_stand(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), passkey_rp_id="")
    shown = offer(app, GOOGLE, WORK, GITHUB).open("/sign-in")
    assert labels(fold(shown)) == ["Continue with GitHub", CODE]


def test_a_button_carries_target_and_language(app: Flask) -> None:
    visit = offer(app, GOOGLE)
    shown = visit.open(visit.open("/account/profile").location + "&lang=de")
    action = "/sign-in/with/google?lang=de"
    fields = shown.form(action)
    assert fields == {"continue": shown.form("/sign-in?lang=de")["continue"]}


def test_a_person_stays_signed_in_by_a_provider_with_and_without_script(app: Flask) -> None:
    shown = offer(app, GOOGLE).open("/sign-in")
    (form,) = [each for each in shown.forms if each.get("action") == "/sign-in/with/google"]
    # The script sends it if the checkbox of the form with the password is ticked.
    (sent,) = [each.attrib for each in form.iter("input") if "data-follows" in each.attrib]
    assert (sent["name"], sent["data-follows"], "disabled" in sent) == (
        "remember",
        "remember",
        True,
    )
    (without,) = form.iter("noscript")
    (box,) = without.iter("input")
    assert (box.get("type"), box.get("name"), box.get("value")) == ("checkbox", "remember", "1")


def test_the_page_asks_the_database_once(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages", "federation"))
    visit = Visit(app)
    with app.app_context():
        engine = db.engine
    for expected in (1, 0, 0):
        with executed(engine) as sent:
            for path in ("/sign-in", "/sign-up"):
                assert visit.open(path).status == 200
        assert len(sent) == expected


def test_only_providers_that_open_accounts_stand_on_the_page_for_them(app: Flask) -> None:
    shown = offer(app, *ALL).open("/sign-up")
    providers = ["Continue with Google", "Continue with GitHub", "Continue with GitLab"]
    assert labels(main(shown)) == ["Create the account", *providers]
    assert labels(fold(shown)) == providers[2:]
    assert labels(main(offer(app, WORK).open("/sign-up"))) == ["Create the account"]


def test_closed_registration_offers_no_provider(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), registration=Registration.CLOSED)
    visit = offer(app, GOOGLE)
    assert labels(main(visit.open("/sign-up"))) == []
    assert "Continue with Google" in labels(main(visit.open("/sign-in")))


def ask(**more: str) -> str:
    """Return the path of an app's request."""
    query = {
        "client_id": "wiki",
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "scope": "openid",
        "code_challenge": "a" * 43,
        "code_challenge_method": "S256",
        **more,
    }
    return f"/oauth/authorize?{urlencode(query)}"


@pytest.fixture
def apps(make_app: Callable[..., Flask]) -> Flask:
    """An application with an app that signs people in."""
    app = make_app(features=("pages", "oidc"))
    give_client(app)
    return app


def test_an_app_hints_at_a_provider(apps: Flask) -> None:
    visit = offer(apps, *ALL)
    shown = visit.follow(visit.open(ask(idp_hint="github")))
    folded = labels(fold(shown))
    others = ["Continue with Google", "Continue with Example & <Sons>", "Continue with GitLab"]
    assert folded == ["Sign in", PASSKEY, *others, CODE]
    assert labels(main(shown)) == ["Continue with GitHub", *folded]
    assert "open" not in fold(shown).attrib
    primary = [each for each in shown.tree.iter("button") if "primary" in each.get("class", "")]
    assert [labels(each) for each in primary] == [["Continue with GitHub"]]
    given = shown.form("/sign-in/with/github")
    assert given == {"continue": shown.form("/sign-in")["continue"]}


def test_a_refused_password_leaves_the_fold_open(apps: Flask) -> None:
    visit = offer(apps, *ALL)
    shown = visit.follow(visit.open(ask(idp_hint="github")))
    fields = {**shown.form("/sign-in"), "identifier": "nobody", "password": "wrong"}
    refused = visit.send("/sign-in", fields)
    assert refused.status == 422
    assert "open" in fold(refused).attrib
    assert labels(main(refused))[0] == "Continue with GitHub"


def test_an_unknown_hint_is_ignored(apps: Flask) -> None:
    visit = offer(apps, *ALL)
    without = labels(main(visit.follow(visit.open(ask()))))
    assert without[0] == "Sign in"
    for hint in ("unknown", "Google", "google github", "", "<b>"):
        shown = visit.follow(visit.open(ask(idp_hint=hint)))
        assert labels(main(shown)) == without, hint


def test_a_hint_signs_no_one_in_and_answers_no_silent_request(apps: Flask) -> None:
    visit = offer(apps, *ALL)
    answer = visit.open(ask(idp_hint="google", prompt="none"))
    assert "error=login_required" in answer.location
    assert visit.open(ask(idp_hint="google")).location.startswith("/sign-in?")
    assert visit.cookie() is None


def test_a_hint_is_ignored_without_providers(apps: Flask) -> None:
    visit = Visit(apps)
    shown = visit.follow(visit.open(ask(idp_hint="google")))
    assert labels(main(shown)) == ["Sign in", PASSKEY, CODE]


def test_only_an_app_hints_at_a_provider(apps: Flask) -> None:
    shown = offer(apps, *ALL).open("/sign-in?idp_hint=github")
    assert labels(main(shown))[0] == "Sign in"
