"""Every page in every state: strict markup, nothing that the policy refuses, exact headers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

import pytest
from flask import Flask

from authserve.clients.kinds import ClientKind
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.core.levels import Level
from authserve.database.transactions import transaction
from authserve.federation.presets import Preset
from authserve.federation.registry import change_provider
from authserve.settings.model import SETTINGS, EmailVerification, Registration
from authserve.users.accounts import ref_of
from authserve.users.email_changes import verify_email
from authserve.users.lookup import get_user_by_reference
from authserve.web.sign_in_providers import SIGN_IN_PROVIDERS, SignInProvider
from tests.support.browsing import Shown, Visit, find_unsafe_markup
from tests.support.clients import PASSWORD, login
from tests.support.factors import give_recovery_codes, give_totp
from tests.support.identities import ensure_provider, give_identity
from tests.support.identity_providers import give_provider
from tests.support.oauth_clients import CALLBACK, give_client
from tests.support.passkeys import change_passkey, give_passkey, passkey_row
from tests.support.pending_identities import show_pending_identities
from tests.support.rows import change_session, change_user
from tests.support.sign_in_steps import show_sign_in_steps

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

FORMS = ("/sign-in", "/sign-up", "/forgot-password", "/verify-email/resend")
LINKS = (
    "/verify-email",
    "/confirm-email",
    "/reset-password",
    "/accept-invitation",
    "/first-administrator",
)


ENDS_AT_PROVIDER = ("no way to a provider", "a provider that is away")
"""Names of pages whose address holds the state of a sign-in."""


def show_everything(app: Flask, language: str = "en") -> Iterator[tuple[str, Shown]]:
    """Yield every page, each with a name: empty, with faults, and after success."""
    visit = Visit(app)
    visit.client.set_cookie("authserve-lang", language)
    for path in (*FORMS, *LINKS, "/signed-out", "/nowhere"):
        yield path, visit.open(path)
    for path in (*FORMS, *LINKS):
        yield f"{path} without input", visit.send(path, {})
        bad = {"link_token": "x" * 64, "password": "a", "new_password": "a", "email": "a"}
        yield (
            f"{path} with faults",
            visit.send(path, {n: bad[n] for n in visit.open(path).form() if n in bad}),
        )
    yield "a dead link", visit.send("/verify-email", {"link_token": "x" * 64, "password": "a"})
    yield "wrong password", visit.send("/sign-in", {"identifier": "<b>", "password": "wrong"})
    yield "unknown field", visit.send("/sign-in", {"surprise": "1"})
    yield "foreign form", visit.send("/sign-in", {}, headers={})
    for path in ("/sign-up", "/forgot-password"):
        email = f"dora-{path[1]}@example.com"
        fields = {"email": email, "password": PASSWORD} if path == "/sign-up" else {"email": email}
        yield f"{path} sent", visit.fill(path, **fields)
    with app.app_context(), transaction():
        verify_email(ref_of(get_user_by_reference("dora-s@example.com")), "dora-s@example.com")
    yield "account", visit.sign_in("dora-s@example.com")
    yield "sign-out", visit.open("/sign-out")
    yield "verify, signed in", visit.open("/verify-email")
    yield from show_activity(app, visit)
    yield from show_sessions(app, visit)
    yield from show_account(visit)
    yield from show_methods(app)
    if "oidc" in SETTINGS.of(app).features:
        yield from show_apps(app, visit)
    if "api-keys" in SETTINGS.of(app).features:
        yield from show_keys(visit)
    if "federation" in SETTINGS.of(app).features:
        yield from show_identities(app, visit)
    yield "confirm", visit.open("/account/confirm")
    yield "confirm with faults", visit.fill("/account/confirm", password="wrong password 12")
    yield from show_second_proofs(app, visit)
    yield from show_sign_in_steps(app)
    yield "deleted", delete_account(app)
    if "federation" in SETTINGS.of(app).features:
        yield from show_ends_at_provider(app)
        yield from show_pending_identities(app)
    yield from show_providers(app)


def show_ends_at_provider(app: Flask) -> Iterator[tuple[str, Shown]]:
    """Yield the pages of a way to a provider that is not open, and of one that is away."""
    # An address that is not public is not asked.
    give_provider(app, "away", preset=Preset.OIDC, issuer="https://127.0.0.1")
    visit, path = Visit(app), "/sign-in/with/away"
    unknown, away = ENDS_AT_PROVIDER
    yield unknown, visit.open(f"{path}/callback?state=x")
    yield away, visit.open(visit.send(path, {}).location)


def show_providers(app: Flask) -> Iterator[tuple[str, Shown]]:
    """Yield the pages that offer providers, with many and with one that an app asks for."""
    slugs = ("google", "work", "github", "gitlab")
    providers = tuple(SignInProvider(slug, "<b>", opens_accounts=True) for slug in slugs)
    SIGN_IN_PROVIDERS.fill(app, lambda: providers)
    visit = Visit(app)
    for path in ("/sign-in", "/sign-up", "/verify-email", "/confirm-email"):
        yield f"{path} and providers", visit.open(path)
    if "oidc" in SETTINGS.of(app).features:
        give_client(app, "hinting")
        shown = visit.follow(visit.open(f"{ask_to_sign_in('hinting')}&idp_hint=work"))
        yield "a provider alone", shown
        yield "its page with faults", visit.send("/sign-in", {**shown.form("/sign-in")})


def show_activity(app: Flask, visit: Visit) -> Iterator[tuple[str, Shown]]:
    """Yield the overview with a question, what follows each answer, and the events."""
    path = "/account/activity/answer"
    for number, answer in enumerate(("mine", "stranger")):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = f"203.0.{number}.1"
        login(client, "dora-s@example.com")
        shown = visit.open("/account")
        yield f"a question before {answer}", shown
        yield answer, visit.follow(visit.send(path, {**shown.form(path), "answer": answer}))
    yield "an answer without input", visit.send(path, {**shown.form(path), "answer": ""})
    yield "activity", visit.open("/account/activity")


def show_sessions(app: Flask, visit: Visit) -> Iterator[tuple[str, Shown]]:
    """Yield the list of sessions, with others and after they ended."""
    other = Visit(app)
    other.sign_in("dora-s@example.com")
    yield "sessions", visit.open("/account/sessions")
    path = f"/account/sessions/{other.session_id}/end"
    fields = visit.open("/account/sessions").form(path)
    yield "a session ended", visit.follow(visit.send(path, fields))
    path = "/account/sessions/end-others"
    yield "all others ended", visit.follow(visit.send(path, fields))
    yield "end all", visit.open("/account/sessions/end-all")


def show_account(visit: Visit) -> Iterator[tuple[str, Shown]]:
    """Yield the pages of the account that have a form."""
    for path, faulty, good in (
        ("/account/profile", {"username": "<b>"}, {"display_name": "<b>"}),
        (
            "/account/password",
            {"current_password": "a", "new_password": "a"},
            {"current_password": PASSWORD, "new_password": PASSWORD},
        ),
        # Last: a new password ends a pending change of the address.
        ("/account/email", {"new_email": "<b>"}, {"new_email": "dora-new@example.com"}),
    ):
        yield path, visit.open(path)
        yield f"{path} with faults", visit.fill(path, **faulty)
        yield f"{path} done", visit.fill(path, **good)
    fields = visit.open("/account/email").form("/account/email/withdraw")
    yield "withdrawn", visit.follow(visit.send("/account/email/withdraw", fields))
    yield "data", visit.open("/account/data")
    yield "deletion", visit.open("/account/data/delete")
    yield "another address", visit.fill("/account/data/delete", confirm="other@example.com")


def show_apps(app: Flask, visit: Visit) -> Iterator[tuple[str, Shown]]:
    """Yield what an app's request leads to, and the list of apps: none, one, and its end."""
    yield "no apps", visit.open("/account/apps")
    native = {"kind": ClientKind.NATIVE, "redirect_uris": ("com.example.app:/callback",)}
    give_client(app, "native", name="<b>", **native)
    give_client(app, "wiki", name="<b>", scopes=("openid", "offline_access", "shop:sell"))
    yield "consent to an installed app", visit.follow(visit.open(ask_to_sign_in("native")))
    shown = visit.follow(visit.open(ask_to_sign_in("wiki")))
    yield "consent", shown
    visit.give(shown, answer="allow")
    shown = visit.open("/account/apps")
    yield "apps", shown
    end = "/account/apps/wiki/end"
    yield "an app ended", visit.follow(visit.send(end, shown.form(end)))


def ask_to_sign_in(client_id: str) -> str:
    """Return the path of a client's request for all that it may have."""
    is_native = client_id == "native"
    query = {
        "client_id": client_id,
        "redirect_uri": "com.example.app:/callback" if is_native else CALLBACK,
        "response_type": "code",
        "scope": "openid offline_access",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    return f"/oauth/authorize?{urlencode(query)}"


def show_keys(visit: Visit) -> Iterator[tuple[str, Shown]]:
    """Yield the API keys: none, the form with and without faults, a new one, and the list."""
    path = "/account/keys"
    yield "no keys", visit.open(path)
    yield "a key's form", visit.open(f"{path}/new")
    yield "a key with faults", visit.fill(f"{path}/new", days="7")
    yield "a key", visit.fill(f"{path}/new", name="<b>", days="7", **{"scope.account": "1"})
    yield "keys", visit.open(path)


def show_identities(app: Flask, visit: Visit) -> Iterator[tuple[str, Shown]]:
    """Yield the services by which a person signs in: linked, off and linkable; and unlinking."""
    with app.app_context():
        user_id = get_user_by_reference("dora-s@example.com").id
    ensure_provider(app, "work", name="<b>", issuer="https://id.example.com")
    identity_id = give_identity(app, user_id, name="<b>")
    yield "services", visit.open("/account/apps")
    asked = visit.open(f"/account/apps/identities/{identity_id}/unlink")
    yield "unlinking", asked
    with app.app_context():
        change_provider("google", {"enabled": False}, actor=OPERATOR, request=RequestInfo())
    yield "a service that is off", visit.open("/account/apps")
    change_user(app, user_id, password_hash=None)
    yield "the last way in", visit.give(asked)
    change_user(app, user_id, password_hash="!")
    yield "unlinked", visit.follow(visit.give(asked))


def show_methods(app: Flask) -> Iterator[tuple[str, Shown]]:
    """Yield the sign-in methods of an account without factors, and of one with all of them."""
    visit, path = sign_up(app, "dora-m"), "/account/sign-in-methods"
    yield "methods, none", visit.open(path)
    for page in ("totp", "passkeys/add", "recovery-codes"):
        yield f"{page}, the first", visit.open(f"{path}/{page}")
    begun = visit.give(visit.open(f"{path}/totp"))
    yield "an app begun", begun
    yield "an app with faults", visit.give(begun, code="1", email_code="1")
    begun = visit.give(visit.open(f"{path}/passkeys/add"))
    yield "a passkey begun", begun
    yield "a passkey with faults", visit.give(begun, credential="x", email_code="1")
    with app.app_context():
        user_id = get_user_by_reference("dora-m@example.com").id
    give_totp(app, user_id)
    give_recovery_codes(app, user_id)
    flagged = give_passkey(app, user_id, name="<b>")
    change_passkey(app, flagged, flagged_at=now())
    other = passkey_row(app, give_passkey(app, user_id))["id"]
    change_session(app, visit.session_id, aal=Level.AAL2)
    yield "methods, all", visit.open(path)
    for page in ("totp", "totp/remove", "passkeys/add", "recovery-codes"):
        yield f"{page}, all", visit.open(f"{path}/{page}")
    for passkey in (other, passkey_row(app, flagged)["id"]):
        yield "a passkey", visit.open(f"{path}/passkeys/{passkey}")
        yield "its removal", visit.open(f"{path}/passkeys/{passkey}/remove")
    renamed = visit.open(f"{path}/passkeys/{other}")
    yield "a long name", visit.give(renamed, name="x" * 65)
    yield "a new name", visit.give(renamed, name="Phone")
    codes = visit.open(f"{path}/recovery-codes")
    yield "new codes", visit.give(codes)
    yield "the same codes again", visit.give(codes)


def sign_up(app: Flask, name: str) -> Visit:
    """Return a browser in which a person with a verified address has signed in."""
    visit, email = Visit(app), f"{name}@example.com"
    visit.fill("/sign-up", email=email, password=PASSWORD)
    with app.app_context(), transaction():
        verify_email(ref_of(get_user_by_reference(email)), email)
    visit.sign_in(email)
    return visit


def delete_account(app: Flask) -> Shown:
    """Delete an account by its page."""
    visit = sign_up(app, "dora-d")
    return visit.fill("/account/data/delete", confirm="dora-d@example.com")


def show_second_proofs(app: Flask, visit: Visit) -> Iterator[tuple[str, Shown]]:
    """Yield the step-up of a browser's session of two factors."""
    with app.app_context():
        user_id = get_user_by_reference("dora-s@example.com").id
    give_totp(app, user_id)
    give_recovery_codes(app, user_id)
    change_session(app, visit.session_id, aal=Level.AAL2)
    yield "confirm with a code", visit.open("/account/confirm")
    yield "a code without digits", visit.fill("/account/confirm", password=PASSWORD, code="x")
    path = "/account/confirm?method=recovery-code"
    yield "confirm with a recovery code", visit.open(path)
    yield "a wrong recovery code", visit.fill(path, password=PASSWORD, recovery_code="x")
    change_user(app, user_id, password_hash=None)
    yield "nothing to confirm with", visit.open("/account/confirm")
    for path in ("", "/password", "/sign-in-methods", "/sessions", "/activity"):
        yield f"{path} without a password", visit.open(f"/account{path}")
    give_passkey(app, user_id)
    yield "confirm with a passkey", visit.open("/account/confirm")
    yield "no passkey", visit.give(visit.open("/account/confirm"))


def ids_of(tree: Element) -> list[str]:
    return [element.attrib["id"] for element in tree.iter() if "id" in element.attrib]


def check(name: str, shown: Shown, *, is_link: bool) -> None:
    """Check what every page has to be."""
    tree = shown.tree
    assert find_unsafe_markup(shown.html) == [], name
    for header, value in (
        ("Content-Security-Policy", POLICY),
        ("Cache-Control", "no-store"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer" if is_link else "same-origin"),
        ("Content-Type", "text/html; charset=utf-8"),
    ):
        assert shown.headers.getlist(header) == [value], (name, header)
    assert tree.attrib == {"lang": "en", "dir": "ltr"}, name
    assert len(list(tree.iter("h1"))) == len(list(tree.iter("main"))) == 1, name
    ids = ids_of(tree)
    assert len(ids) == len(set(ids)), name
    labels = {label.get("for") for label in tree.iter("label")}
    for field in tree.iter("input"):
        if field.get("type") not in ("hidden", "checkbox") and "hidden" not in field.attrib:
            assert field.get("id") in labels, (name, field.attrib)
        for described in field.get("aria-describedby", "").split():
            assert described in ids, (name, described)
    has_fault = "aria-invalid" in shown.html or 'role="alert"' in shown.html
    assert shown.title.startswith("Error:") is has_fault, (name, shown.title)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"email_verification": EmailVerification.REQUIRED, "password_min_length": 15},
        {"email_verification": EmailVerification.OFF, "registration_domains": ("example.com",)},
        {
            "brand_name": "<Orchard> & Söhne",
            "brand_terms_url": "https://example.com/terms",
            "brand_privacy_url": "https://example.com/privacy",
            "brand_support_url": "mailto:help@example.com",
            "registration": Registration.OPEN,
        },
    ],
    ids=["default", "required", "off", "brand"],
)
def test_every_page(make_app: Callable[..., Flask], settings: dict[str, object]) -> None:
    app = make_app(features=("pages", "oidc", "api-keys", "federation"), **settings)
    seen = 0
    for name, shown in show_everything(app):
        check(
            name,
            shown,
            is_link=(name.startswith(LINKS) and "resend" not in name)
            or name in ("a dead link", "verify, signed in", *ENDS_AT_PROVIDER),
        )
        seen += 1
    assert seen > 30


def test_the_operator_adds_head_header_and_footer(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    for part in ("head", "header", "footer"):
        (tmp_path / f"brand_{part}.html").write_text(
            f'{{# #}}<meta name="own-{part}" content="{{{{ brand.name }}}}">'
        )
    app = make_app(features=("pages",), pages_templates=tmp_path, brand_name="<Orchard>")
    html = Visit(app).open("/sign-in").html
    for part in ("head", "header", "footer"):
        assert html.count(f'<meta name="own-{part}" content="&lt;Orchard&gt;">') == 1


def test_a_fault_in_their_templates_stops_the_start(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    (tmp_path / "brand_head.html").write_text("{% if %}")
    with pytest.raises(Exception, match="Expected an expression"):
        make_app(features=("pages",), pages_templates=tmp_path)
