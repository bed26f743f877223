"""Delivery to SMTP servers: those that work, and those that fail at each stage."""

from typing import Any

import pytest
import trustme

from authserve.core.deadline import TLSContext, make_tls_context
from authserve.mail.errors import TransportError
from authserve.mail.message import OutgoingMail
from authserve.mail.smtp import NO_GREETING, NO_TLS, SMTPTransport
from authserve.mail.transports import make_transport
from tests.support.mail import write_letter
from tests.support.smtp import (
    DRIBBLE,
    DROP,
    HANG,
    STAGES,
    faulty_server,
    mail_server,
)
from tests.support.tls import server_context

TO = "alice@example.com"


def letter(to: str = TO) -> OutgoingMail:
    return write_letter(to)


def make_smtp(port: int, **changes: Any) -> SMTPTransport:
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "username": None,
        "password": "",
        "is_implicit_tls": False,
        "is_starttls": False,
        "helo": "auth.example",
        "total_timeout_secs": 20,
        **changes,
    }
    return SMTPTransport(**options)


def refusal(transport: SMTPTransport, *, to: str = TO) -> TransportError:
    """Return the transport's error; its text must name no address."""
    with pytest.raises(TransportError) as caught:
        transport.send(letter(to))
    assert "@" not in caught.value.reason
    return caught.value


class TestPlain:
    def test_it_hands_a_mail_over(self) -> None:
        with mail_server() as server:
            make_smtp(server.port).send(letter())
        (arrival,) = server.arrivals
        assert (arrival.sender, arrival.to, arrival.id) == (
            "no-reply@example.com",
            TO,
            "<00000000-0000-0000-0000-000000000001@example.com>",
        )
        assert arrival.content == letter().content

    def test_it_greets_by_the_name_that_it_is_given(self) -> None:
        with mail_server() as server:
            make_smtp(server.port, helo="mx.example").send(letter())
        assert [arrival.helo for arrival in server.arrivals] == ["mx.example"]

    def test_a_server_that_is_not_there_is_an_outage(self) -> None:
        with mail_server() as server:
            server.close()
            error = refusal(make_smtp(server.port))
        assert error.is_outage
        assert error.reason == "the server cannot be reached: no program listens at its port"

    def test_a_name_that_is_not_there_is_an_outage(self) -> None:
        error = refusal(make_smtp(25, host="mail.invalid"))
        assert error.is_outage
        assert error.reason == "the server cannot be reached: its name has no address"

    def test_it_writes_to_internationalised_addresses(self) -> None:
        with mail_server() as server:
            make_smtp(server.port).send(letter("jörg@example.com"))
        (arrival,) = server.arrivals
        assert arrival.to == "jörg@example.com"
        assert "SMTPUTF8" in arrival.options

    def test_a_server_that_takes_no_such_address_is_no_outage(self) -> None:
        """Any visitor can register one, and must not stop all mail by it."""
        with mail_server(is_utf8=False) as server:
            transport = make_smtp(server.port)
            error = refusal(transport, to="jörg@example.com")
            transport.send(letter())
        assert not error.is_outage
        assert len(server.arrivals) == 1


@pytest.mark.parametrize(
    ("of_server", "of_client"), [("tls", "is_implicit_tls"), ("starttls", "is_starttls")]
)
class TestTLS:
    def test_it_hands_a_mail_over_encrypted(
        self, authority: trustme.CA, trusting: TLSContext, of_server: str, of_client: str
    ) -> None:
        with mail_server(**{of_server: server_context(authority, "localhost")}) as server:
            transport = make_smtp(server.port, host="localhost", tls=trusting, **{of_client: True})
            transport.send(letter())
        assert len(server.arrivals) == 1

    @pytest.mark.parametrize(
        ("name", "is_known", "reason"),
        [
            ("localhost", False, "unable to get local issuer certificate"),
            ("elsewhere.example", True, "Hostname mismatch"),
        ],
    )
    def test_it_refuses_a_certificate_that_is_not_the_servers(
        self,
        authority: trustme.CA,
        trusting: TLSContext,
        of_server: str,
        of_client: str,
        name: str,
        is_known: bool,
        reason: str,
    ) -> None:
        tls = trusting if is_known else make_tls_context()
        with mail_server(**{of_server: server_context(authority, name)}) as server:
            transport = make_smtp(server.port, host="localhost", tls=tls, **{of_client: True})
            error = refusal(transport)
        assert error.is_outage
        assert reason in error.reason
        assert server.arrivals == []

    def test_it_never_continues_without_tls(
        self, trusting: TLSContext, of_server: str, of_client: str
    ) -> None:
        with mail_server() as server:
            transport = make_smtp(server.port, tls=trusting, total_timeout_secs=1, **{of_client: 1})
            assert refusal(transport).is_outage
        assert server.arrivals == []

    def test_a_handshake_that_hangs_ends_within_the_timeout(
        self, trusting: TLSContext, of_server: str, of_client: str
    ) -> None:
        stage = "banner" if of_client == "is_implicit_tls" else "RCPT"
        with faulty_server(stage, HANG) as server:
            server.offer_starttls()
            transport = make_smtp(
                server.port, tls=trusting, total_timeout_secs=0.5, **{of_client: True}
            )
            assert_given_up(transport)


USERS = {"no-reply": "a pass:word/with@signs", "größe": "pässwörd €"}


class TestAuth:
    @pytest.mark.parametrize("is_encrypted", [False, True])
    def test_it_signs_in(
        self, authority: trustme.CA, trusting: TLSContext, is_encrypted: bool
    ) -> None:
        tls = {"starttls": server_context(authority, "localhost")} if is_encrypted else {}
        with mail_server(users=USERS, **tls) as server:
            transport = make_smtp(
                server.port,
                host="localhost",
                username="no-reply",
                password=USERS["no-reply"],
                is_starttls=is_encrypted,
                tls=trusting,
            )
            transport.send(letter())
        assert len(server.arrivals) == 1

    @pytest.mark.parametrize("way", ["PLAIN", "LOGIN"])
    def test_credentials_are_utf_8(self, way: str) -> None:
        ways = {"PLAIN", "LOGIN"}
        with mail_server(users=USERS, without_auth=ways - {way}) as server:
            make_smtp(server.port, username="größe", password=USERS["größe"]).send(letter())
        assert len(server.arrivals) == 1

    def test_it_answers_a_challenge(self) -> None:
        """RFC 2195 §2, the example; the server offers no other way."""
        with faulty_server("banner", b"220 mail.example") as server:
            server.offer_cram_md5(b"<1896.697170952@postoffice.reston.mci.net>")
            transport = make_smtp(server.port, username="tim", password="tanstaaftanstaaf")
            transport.send(letter())
        assert server.digest == b"tim b913a602c7eda7a495b4e6e7334d3890"

    def test_a_wrong_password_is_an_outage_for_all_mail(self) -> None:
        with mail_server(users=USERS) as server:
            error = refusal(make_smtp(server.port, username="no-reply", password="wrong"))
        reason = "the server refused the login (535 5.7.8 Authentication credentials invalid)"
        assert (error.reason, error.is_outage) == (reason, True)
        assert server.arrivals == []

    def test_a_server_without_sign_in_is_an_outage(self) -> None:
        with faulty_server("banner", b"220 mail.example") as server:
            error = refusal(make_smtp(server.port, username="no-reply", password="x"))
        reason = "the server offers no login (AUTH) here; many offer it only with TLS"
        assert (error.reason, error.is_outage) == (reason, True)

    @pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
    def test_a_server_that_wants_a_login_is_an_outage(self, stage: str) -> None:
        """530 (RFC 4954 §6) is about MAIL_URL, so no recipient is given up for it."""
        with faulty_server(stage, b"530 5.7.0 Authentication required") as server:
            error = refusal(make_smtp(server.port))
        assert (error.is_outage, error.is_permanent) == (True, False)
        assert error.reason == (
            "the server wants a login or TLS first (530 5.7.0 Authentication required): check "
            "MAIL_URL"
        )

    def test_a_relay_that_is_denied_is_no_fault_of_the_recipient(self) -> None:
        """Else every mail would be given up within ten minutes of a change at the server."""
        with faulty_server("RCPT", b"554 5.7.1 Relay access denied") as server:
            error = refusal(make_smtp(server.port))
        assert (error.is_outage, error.is_permanent) == (False, False)

    def test_the_url_holds_every_setting(self) -> None:
        with mail_server(users=USERS) as server:
            url = f"smtp://no-reply:a%20pass%3Aword%2Fwith%40signs@127.0.0.1:{server.port}"
            make_transport(url, helo="auth.example").send(letter())
        assert len(server.arrivals) == 1


class TestPortsOfTheOtherKind:
    """Each reason says which `MAIL_URL` may be meant."""

    def test_a_server_without_tls_from_the_start(self, trusting: TLSContext) -> None:
        with mail_server() as server:
            error = refusal(make_smtp(server.port, tls=trusting, is_implicit_tls=True))
        assert (error.reason, error.is_outage) == (NO_TLS, True)
        assert "?tls=starttls" in error.reason

    def test_a_server_that_waits_for_tls(self, authority: trustme.CA) -> None:
        with mail_server(tls=server_context(authority, "localhost")) as server:
            error = refusal(make_smtp(server.port, total_timeout_secs=0.4))
        assert (error.reason, error.is_outage) == (NO_GREETING, True)
        assert "smtps://" in error.reason

    def test_a_server_without_starttls(self, trusting: TLSContext) -> None:
        with mail_server() as server:
            error = refusal(make_smtp(server.port, tls=trusting, is_starttls=True))
        assert (error.reason, error.is_outage) == ("the server offers no STARTTLS", True)

    def test_a_server_of_another_protocol(self) -> None:
        with faulty_server("banner", b"SSH-2.0-OpenSSH_9.6") as server:
            error = refusal(make_smtp(server.port))
        assert error.reason.startswith("the server speaks no SMTP (")

    def test_a_server_that_hangs_up(self) -> None:
        with faulty_server("DATA", DROP) as server:
            error = refusal(make_smtp(server.port))
        assert (error.reason, error.is_outage) == ("the server closed the connection", True)


REFUSALS = [
    ("banner", b"421 busy", True, "the server refused the connection (421 busy)"),
    ("banner", b"554 no", True, "the server refused the connection (554 no)"),
    ("EHLO", b"421 busy", True, "the server refused the connection (421 busy)"),
    ("EHLO", b"502 no", True, "the server refused the connection (502 no)"),
    ("MAIL", b"421 busy", True, "the server refused the mail (421 busy)"),
    ("MAIL", b"451 later", True, "the server refused the mail (451 later)"),
    ("MAIL", b"550 no", False, "the server refused the mail (550 no)"),
    ("RCPT", b"421 busy", True, "the server refused the recipient (421 busy)"),
    ("RCPT", b"450 later", False, "the server refused the recipient (450 later)"),
    ("RCPT", b"550 unknown", False, "the server refused the recipient (550 unknown)"),
    ("RCPT", b"551 5.1.6 moved", False, "the server refused the recipient (551 5.1.6 moved)"),
    ("DATA", b"421 busy", True, "the server refused the mail (421 busy)"),
    ("DATA", b"451 later", True, "the server refused the mail (451 later)"),
    ("DATA", b"554 no", False, "the server refused the mail (554 no)"),
    ("body", b"452 full", True, "the server refused the mail (452 full)"),
    ("body", b"554 spam", False, "the server refused the mail (554 spam)"),
]


class TestFaults:
    @pytest.mark.parametrize(("stage", "answer", "is_outage", "reason"), REFUSALS)
    def test_it_distinguishes_a_refusal_of_the_mail_from_an_outage(
        self, stage: str, answer: bytes, is_outage: bool, reason: str
    ) -> None:
        with faulty_server(stage, answer) as server:
            error = refusal(make_smtp(server.port))
        assert (error.reason, error.is_outage) == (reason, is_outage)
        assert error.is_permanent is (stage == "RCPT" and answer.startswith(b"55"))

    def test_it_quotes_a_reply_without_addresses_links_and_lines(self) -> None:
        reply = (
            b"550-5.1.1 <alice@example.com>: \x1b[31mno such user\r\n"
            b"550 5.1.1 see https://mail.example/why#to-ken " + b"x" * 300
        )
        with faulty_server("RCPT", reply) as server:
            error = refusal(make_smtp(server.port))
        assert error.reason.startswith(
            "the server refused the recipient (550 5.1.1 <(address)>: [31mno such user "
            "5.1.1 see https://mail.example/why#(token) xxx"
        )
        assert len(error.reason) <= 200

    @pytest.mark.parametrize("stage", STAGES[:-1])
    @pytest.mark.parametrize("fault", [HANG, DRIBBLE])
    def test_it_gives_a_slow_server_up(self, stage: str, fault: bytes) -> None:
        with faulty_server(stage, fault) as server:
            assert_given_up(make_smtp(server.port, total_timeout_secs=0.4))

    @pytest.mark.parametrize("stage", STAGES[:-1])
    @pytest.mark.parametrize("fault", [DROP, b"", b"gibberish", b"\xff" * 9000])
    def test_a_server_that_speaks_no_smtp_is_an_outage(self, stage: str, fault: bytes) -> None:
        with faulty_server(stage, fault) as server:
            error = refusal(make_smtp(server.port, total_timeout_secs=2))
        # A broken answer to one mail's own content may be about that mail.
        assert error.is_outage or stage in ("MAIL", "RCPT", "DATA", "body")

    @pytest.mark.parametrize("fault", [DROP, b"", b"gibberish", b"421 busy", b"500 what?"])
    def test_a_bad_goodbye_does_not_send_the_mail_again(self, fault: bytes) -> None:
        with faulty_server("QUIT", fault) as server:
            make_smtp(server.port).send(letter())
            assert server.taken == 1

    @pytest.mark.parametrize("fault", [HANG, DRIBBLE])
    def test_a_slow_goodbye_does_not_send_the_mail_again(
        self, fault: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("authserve.mail.smtp.QUIT_TIMEOUT_SECS", 0.3)
        with faulty_server("QUIT", fault) as server:
            make_smtp(server.port).send(letter())
            assert server.taken == 1

    def test_a_connection_lost_after_the_mail_is_an_outage(self) -> None:
        """It is unknown whether the server took it; so it is sent again, with the same id."""
        with faulty_server("body", DROP) as server:
            assert refusal(make_smtp(server.port)).is_outage
            assert server.taken == 1


def assert_given_up(transport: SMTPTransport) -> None:
    """Check that the transport gives up for lack of time; the server would go on for ever."""
    error = refusal(transport)
    assert error.is_outage
    is_slow = error.reason.startswith("the server took longer than 0.")
    assert is_slow or error.reason == NO_GREETING, error.reason
