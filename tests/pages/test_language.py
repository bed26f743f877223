"""The language of pages: how it is chosen and changed, and that no text is left out."""

import re
from collections.abc import Callable
from xml.etree.ElementTree import Element

import pytest
from flask import Flask

from authserve.core.pseudo_languages import PseudoTranslations
from authserve.users.lookup import get_user_by_reference
from tests.pages.test_markup import show_everything
from tests.support.browsing import Shown, Visit
from tests.support.catalogs import texts_of_code
from tests.support.clients import PASSWORD, Caller
from tests.support.rows import audit_trail

TITLES = {"en": "Sign in", "de": "Anmelden", "es": "Iniciar sesión"}


def language_of(shown: Shown) -> str:
    """The language of a page, which its title must have too."""
    language = shown.tree.attrib["lang"]
    assert shown.title.startswith(TITLES[language])
    return language


def choose(visit: Visit, page: Shown, language: str, **fields: str) -> Shown:
    """Press a button of the switch of a page."""
    return visit.send("/language", {**page.form("/language"), "lang": language, **fields})


@pytest.mark.parametrize(
    ("query", "cookie", "accepted", "shown"),
    [
        ("", "", "", "en"),
        ("", "", "de-AT, en;q=0.5", "de"),
        ("", "", "fr, nl", "en"),
        ("", "es", "de", "es"),
        ("de", "es", "en", "de"),
        ("DE-CH", "es", "en", "de"),
        ("fr", "es", "de", "es"),
        ("<b>", "é", "de", "de"),
    ],
)
def test_query_then_cookie_then_browser_decide(
    visit: Visit, query: str, cookie: str, accepted: str, shown: str
) -> None:
    visit.client.set_cookie("authserve-lang", cookie)
    page = visit.open(
        "/sign-in", query_string={"lang": query}, headers={"Accept-Language": accepted}
    )
    assert language_of(page) == shown


def test_languages_that_are_not_offered_are_not_shown(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), languages=("de", "es"), default_language="de")
    visit = Visit(app)
    assert language_of(visit.open("/sign-in?lang=en")) == "de"
    assert language_of(visit.open("/sign-in", headers={"Accept-Language": "en, es"})) == "es"


def test_the_switch_keeps_the_language_and_comes_back(visit: Visit) -> None:
    page = visit.open("/forgot-password?x=1&lang=es")
    answer = choose(visit, page, "de")
    assert (answer.status, answer.location) == (303, "/forgot-password?x=1")
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("authserve-lang=de; ")
    assert {"Max-Age=31536000", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert visit.follow(answer).title.startswith("Passwort vergessen?")


def test_the_cookie_of_an_https_service_is_secure(make_app: Callable[..., Flask]) -> None:
    origin = "https://auth.example.com"
    visit = Visit(make_app(features=("pages",), public_url=origin), base_url=origin)
    sent = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    answer = visit.send("/language", {"lang": "de"}, headers=sent)
    assert "; Secure;" in answer.headers["Set-Cookie"]


def test_a_get_sets_no_cookie_and_is_kept_by_forms_and_links(visit: Visit, alice: Caller) -> None:
    page = visit.open("/sign-in?lang=de")
    assert "Set-Cookie" not in page.headers
    actions = [form.get("action") for form in page.forms]
    assert actions == ["/sign-in?lang=de"]
    assert 'href="/forgot-password?lang=de"' in page.html
    shown = visit.send(actions[0], {"identifier": "alice", "password": "wrong"})
    assert "Passwort stimmt nicht" in shown.alert
    answer = visit.send(actions[0], {"identifier": "alice", "password": PASSWORD})
    assert answer.location == "/account?lang=de"


def test_one_language_has_no_switch(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), languages=("de",), default_language="de")
    shown = Visit(app).open("/sign-in")
    assert "/language" not in shown.html
    assert language_of(shown) == "de"


def test_the_switch_marks_the_language_of_the_page(visit: Visit) -> None:
    buttons = [b for b in visit.open("/sign-in?lang=de").tree.iter("button") if b.get("lang")]
    assert [(b.text, b.get("lang"), b.get("aria-current")) for b in buttons] == [
        ("English", "en", None),
        ("Deutsch", "de", "true"),
        ("Español", "es", None),
    ]


@pytest.mark.parametrize("language", ["fr", "", "de-AT", "EN", "é"])
def test_only_offered_languages_are_kept(visit: Visit, language: str) -> None:
    answer = visit.send("/language", {"lang": language})
    assert answer.status == 422
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "back",
    [
        "",
        "//evil.example",
        "/\\evil.example",
        "/%2Fevil.example",
        "https://evil.example",
        "/nowhere",
        "/language",
        "/sign-in\n",
        "/sign-in?" + "x" * 4_000,
    ],
)
def test_the_way_back_leads_to_pages_of_the_service_alone(visit: Visit, back: str) -> None:
    answer = visit.send("/language", {"lang": "de", "back": back})
    assert (answer.status, answer.location) == (303, "/account")


def test_a_signed_in_browser_sends_its_token(visit: Visit, alice: Caller) -> None:
    page = visit.sign_in()
    assert choose(visit, page, "de", token="00" * 32).status == 403
    assert choose(visit, page, "de", token="").status == 403
    assert choose(visit, page, "de").location == "/account"
    # A page that needs no session carries it too.
    assert choose(visit, visit.open("/forgot-password"), "es").status == 303


def test_a_foreign_page_changes_no_language(visit: Visit) -> None:
    answer = visit.send("/language", {"lang": "de"}, headers={"Origin": "https://evil.example"})
    assert answer.status == 403


def test_pages_of_failures_have_the_language_and_ask_no_database(visit: Visit) -> None:
    shown = visit.open("/nowhere?lang=de")
    assert (shown.status, shown.tree.attrib["lang"]) == (404, "de")
    assert "Diese Seite gibt es nicht" in shown.text


_PSEUDO = re.compile("⟦[^⟦⟧]*⟧|[\u202e\u202c]")
_DATA = re.compile(r"\S+@\S+|localhost|Firefox|werkzeug|Alice Liddell|[a-z0-9-]+\.example")
"""What is no text of the service: addresses, names, hosts."""


def texts_of(element: Element) -> str:
    """The words of an element, without what is shown as it is in every language."""
    if element.tag in ("code", "script", "time") or element.get("lang") in TITLES:
        return " "
    names = ("aria-label", "alt", "title", "placeholder")
    words = [element.text or "", *(element.get(name, "") for name in names)]
    for child in element:
        words += [texts_of(child), child.tail or ""]
    return "".join(words)


def find_untranslated(shown: Shown) -> str:
    """Return the words of a page that no catalog made."""
    text = texts_of(shown.tree)
    while _PSEUDO.search(text):
        text = _PSEUDO.sub("", text)
    return " ".join(re.findall(r"[^\W\d_]{2,}.*", _DATA.sub("", text)))


def test_no_text_of_any_page_is_left_untranslated(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, asked = make_app(features=("pages", "federation")), set()
    make_pseudo_text = PseudoTranslations.gettext

    def note(self: PseudoTranslations, message: str) -> str:
        asked.add(message)
        return make_pseudo_text(self, message)

    monkeypatch.setattr(PseudoTranslations, "gettext", note)
    untranslated = {name: find_untranslated(s) for name, s in show_everything(app, "qps")}
    assert {name: text for name, text in untranslated.items() if text} == {}
    # The pseudo-language takes any text, a catalog only those that the code marks.
    assert asked - {text for ids in texts_of_code() for text in ids} == set()


def test_pseudo_languages_do_not_exist_in_production(make_app: Callable[..., Flask]) -> None:
    shown = Visit(make_app(features=("pages",))).open("/sign-in?lang=qps-plocm")
    assert shown.tree.attrib == {"lang": "qps-plocm", "dir": "rtl"}
    shown = Visit(make_app(features=("pages",), app_env="production")).open("/sign-in?lang=qps")
    assert shown.tree.attrib == {"lang": "en", "dir": "ltr"}


def test_the_language_of_the_account_comes_before_the_cookie(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    page = visit.sign_in()
    choose(visit, page, "es")
    visit.client.set_cookie("authserve-lang", "de")
    assert visit.open("/account").tree.attrib["lang"] == "es"
    assert visit.open("/forgot-password").tree.attrib["lang"] == "es"
    assert visit.open("/account?lang=en").tree.attrib["lang"] == "en"
    assert alice.get("/api/v1/users/me").json["locale"] == "es"
    (event,) = audit_trail(app, "user.profile_changed")
    assert event["details"] == {"fields": ["locale"]}


def test_a_pseudo_language_stays_in_the_browser(visit: Visit, alice: Caller) -> None:
    answer = choose(visit, visit.sign_in(), "qps")
    assert visit.follow(answer).tree.attrib["lang"] == "qps"
    assert alice.get("/api/v1/users/me").json["locale"] is None


def test_the_profile_has_the_language_and_tells_the_browser(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    page = visit.open("/account/profile")
    sent = {"token": page.form("/account/profile")["token"], "locale": "de"}
    answer = visit.send("/account/profile", sent)
    assert visit.cookie("authserve-lang") == "de"
    shown = visit.follow(answer)
    assert shown.tree.attrib["lang"] == "de"
    (chosen,) = [o.text for o in shown.tree.iter("option") if o.get("selected") is not None]
    assert chosen == "Deutsch"
    visit.send("/account/profile", {**sent, "locale": ""})
    assert alice.get("/api/v1/users/me").json["locale"] is None
    assert visit.send("/account/profile", {**sent, "locale": "fr"}).status == 422


@pytest.mark.parametrize(("language", "stored"), [("de", "de"), ("qps", None)])
def test_sign_up_stores_the_language_of_its_page(
    app: Flask, visit: Visit, language: str, stored: str | None
) -> None:
    visit.client.set_cookie("authserve-lang", language)
    fields = {"email": "dora@example.com", "password": PASSWORD}
    assert visit.send("/sign-up", {**fields, "locale": "es"}).status == 422
    visit.send("/sign-up", fields)
    with app.app_context():
        assert get_user_by_reference("dora@example.com").locale == stored
