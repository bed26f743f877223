"""`flask mail test`: a mail at once, and the server's own words after a failure."""

from collections.abc import Callable
from pathlib import Path

from flask import Flask

from authserve.mail.mailer import MAILER, Mailer
from authserve.mail.transports import make_transport
from authserve.settings.model import SETTINGS
from tests.support.smtp import faulty_server, mail_server

MakeApp = Callable[..., Flask]


def app_with(make_app: MakeApp, url: str, **changes: object) -> Flask:
    app = make_app(mail_url=url, **changes)
    settings = SETTINGS.of(app)
    MAILER.fill(app, Mailer(settings, make_transport(url, helo="auth.example")))
    return app


def run(app: Flask, *args: str) -> tuple[int, str]:
    result = app.test_cli_runner(capture="fd").invoke(args=["mail", "test", *args])
    return result.exit_code, result.output


def test_it_sends_a_mail_at_once(make_app: MakeApp) -> None:
    with mail_server() as server:
        app = app_with(make_app, server.url, brand_name="ACME")
        status, output = run(app, " Alice@Example.com ")
    assert (status, output) == (0, "The mail to alice@example.com has left.\n")
    (arrival,) = server.arrivals
    assert arrival.to == "alice@example.com"
    assert arrival.message["Subject"] == "A test mail from ACME"


def test_it_sends_an_example_of_any_mail(make_app: MakeApp) -> None:
    with mail_server() as server:
        assert run(app_with(make_app, server.url), "a@example.com", "--kind", "invitation")[0] == 0
    assert server.arrivals[0].message["Subject"] == "You are invited"


def test_it_prints_the_servers_answer(make_app: MakeApp) -> None:
    with faulty_server("RCPT", b"554 5.7.1 Relay access denied") as server:
        app = app_with(make_app, f"smtp://127.0.0.1:{server.port}")
        status, output = run(app, "alice@example.com")
    assert status == 1
    assert output == (
        "Error: The mail was not sent: "
        "the server refused the recipient (554 5.7.1 Relay access denied).\n"
    )


def test_it_names_a_template_at_fault(make_app: MakeApp, tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("{{ lifetime }}")
    status, output = run(make_app(mail_templates=tmp_path), "alice@example.com")
    assert (status, output) == (
        1,
        "Error: A template of test is at fault: 'lifetime' is undefined\n",
    )


def test_it_refuses_what_is_no_address(make_app: MakeApp) -> None:
    assert run(make_app(), "alice") == (1, "Error: Not a valid email address.\n")
