"""Building mails: their words, their headers, and the breaker before the server."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from authserve.core.breakers import Breaker
from authserve.mail.errors import TransportError
from authserve.mail.mailer import BREAKER_RESET_SECS, Mailer
from authserve.mail.message import OutgoingMail
from authserve.mail.policy import LINK_KINDS, SAMPLE_VALUES, MailKind, plain_name
from authserve.outbox.errors import DeliveryError
from tests.conftest import make_settings
from tests.support.mail import Mailbox

ID = UUID(int=7)
LINK = "https://auth.example/reset-password#to-ken_"


class Refusing(Mailbox):
    """A transport that takes mail or raises a given error."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None

    def send(self, mail: OutgoingMail) -> None:
        if self.error is not None:
            raise self.error
        super().send(mail)


MakeMailer = Callable[..., Mailer]


@pytest.fixture(scope="module")
def box() -> Refusing:
    return Refusing()


@pytest.fixture
def make_mailer(tmp_path: Path, box: Refusing) -> MakeMailer:
    box.letters.clear()
    box.error = None

    def make(**changes: object) -> Mailer:
        return Mailer(make_settings("sqlite://", tmp_path, **changes), box)

    return make


@pytest.fixture
def mailer(make_mailer: MakeMailer) -> Mailer:
    return make_mailer(public_url="https://auth.example")


def send(
    mailer: Mailer,
    kind: MailKind = MailKind.RESET_PASSWORD,
    *,
    to: str = "alice@example.com",
    name: str = "Alice",
    message_id: UUID = ID,
) -> None:
    mailer.send(
        kind, to=to, message_id=message_id, name=name, link=LINK, lifetime=timedelta(minutes=30)
    )


class TestTemplates:
    @pytest.mark.parametrize("kind", list(MailKind))
    @pytest.mark.parametrize("name", ["", "Alice"])
    def test_every_kind_has_a_subject_a_text_and_html(
        self, mailer: Mailer, box: Refusing, kind: MailKind, name: str
    ) -> None:
        is_link = kind in LINK_KINDS
        link = {"link": LINK, "lifetime": timedelta(minutes=30)} if is_link else {}
        values = SAMPLE_VALUES.get(kind)
        mailer.send(kind, to="alice@example.com", message_id=ID, name=name, values=values, **link)
        (letter,) = box.letters
        assert letter.subject
        assert "<h1 style=" in letter.html
        assert f">{letter.subject}</h1>" in letter.html
        greeting = f"Hello {name}," if name else "Hello,"
        for words in (letter.text, letter.html):
            assert greeting in words
            assert "auth.example" in words
            assert ("https://" in words, LINK in words, "30 minutes" in words) == (is_link,) * 3
        assert "\n\n\n" not in letter.text

    @pytest.mark.parametrize(
        ("minutes", "words"),
        [
            (1, "1 minute"),
            (30, "30 minutes"),
            (60, "1 hour"),
            (90, "90 minutes"),
            (1440, "24 hours"),
            (4320, "3 days"),
        ],
    )
    def test_a_lifetime_is_a_number_that_templates_put_into_words(
        self, mailer: Mailer, box: Refusing, minutes: int, words: str
    ) -> None:
        mailer.send(
            MailKind.RESET_PASSWORD,
            to="alice@example.com",
            message_id=ID,
            link=LINK,
            lifetime=timedelta(minutes=minutes),
        )
        (letter,) = box.letters
        assert f"The link works once, within {words}." in letter.text
        assert f"The link works once, within {words}." in letter.html

    def test_the_brand_is_in_both(self, make_mailer: MakeMailer, box: Refusing) -> None:
        send(make_mailer(brand_name="Größe & Co", public_url="https://auth.example"))
        (letter,) = box.letters
        assert "This mail was sent by Größe & Co (auth.example)." in letter.text
        assert "This mail was sent by Größe &amp; Co (auth.example)." in letter.html

    def test_a_mail_gets_the_values_that_are_declared_for_it_and_no_others(
        self, mailer: Mailer
    ) -> None:
        with pytest.raises(ValueError, match="SAMPLE_VALUES"):
            mailer.send(
                MailKind.EMAIL_CHANGED, to="a@example.com", message_id=ID, values={"browser": "x"}
            )

    def test_faulty_templates_are_found_without_sending(
        self, make_mailer: MakeMailer, box: Refusing, tmp_path: Path
    ) -> None:
        assert list(make_mailer().find_template_faults()) == []
        (tmp_path / "reset_password.txt").write_text("{{ lifetime }}")
        (tmp_path / "invitation.html").write_text("{% if %}")
        (tmp_path / "verify_email.subject.txt").write_text("{{ 1 // 0 }}")
        (tmp_path / "test.txt").write_bytes(b"\xff")
        faults = list(make_mailer(mail_templates=tmp_path).find_template_faults())
        assert [fault.partition(":")[0] for fault in faults] == [
            "verify_email",
            "reset_password",
            "invitation",
            "test",
        ]
        assert "'lifetime' is undefined" in faults[1]
        assert box.letters == []

    def test_a_deployments_own_template_replaces_one_file(
        self, make_mailer: MakeMailer, box: Refusing, tmp_path: Path
    ) -> None:
        folder = tmp_path / "templates"
        folder.mkdir()
        (folder / "reset_password.txt").write_text("Bonjour {{ name }} : {{ link }}\n")
        mailer = make_mailer(mail_templates=folder)
        send(mailer)
        send(mailer, MailKind.VERIFY_EMAIL)
        first, second = box.letters
        assert first.text.split() == ["Bonjour", "Alice", ":", LINK]
        assert first.subject == "Set a new password"
        assert second.text.startswith("Hello Alice,")

    def test_its_frame_goes_around_our_words(
        self, make_mailer: MakeMailer, box: Refusing, tmp_path: Path
    ) -> None:
        (tmp_path / "_base.html").write_text("<b>ACME</b>{% block body %}{% endblock %}")
        send(make_mailer(mail_templates=tmp_path))
        assert box.letters[0].html.startswith("<b>ACME</b><p>We received a request")

    def test_html_escapes_what_it_is_given(
        self, make_mailer: MakeMailer, box: Refusing, tmp_path: Path
    ) -> None:
        (tmp_path / "reset_password.html").write_text("{{ name }}")
        send(make_mailer(mail_templates=tmp_path), name="<b>")
        assert box.letters[0].html.strip() == "&lt;b&gt;"

    def test_a_subject_can_forge_no_header(
        self, make_mailer: MakeMailer, box: Refusing, tmp_path: Path
    ) -> None:
        (tmp_path / "reset_password.subject.txt").write_text(
            "New\r\nBcc: bob@example.com\n\n\x0bpassword\u2028für {{ name }}\n"
        )
        send(make_mailer(mail_templates=tmp_path))
        message = box.letters[0].message
        assert message["Subject"] == "New Bcc: bob@example.com password für Alice"
        assert message["Bcc"] is None

    def test_a_template_that_is_wrong_is_no_outage(
        self, make_mailer: MakeMailer, tmp_path: Path
    ) -> None:
        (tmp_path / "reset_password.txt").write_text("{{ no_such_value }}")
        mailer = make_mailer(mail_templates=tmp_path)
        for _ in range(9):
            with pytest.raises(Exception, match="no_such_value"):
                send(mailer)
        assert mailer.is_ready


class TestHeaders:
    def test_they_have_sender_recipient_and_date(
        self, make_mailer: MakeMailer, box: Refusing, clock: time_machine.Traveller
    ) -> None:
        mailer = make_mailer(mail_from='"Größe, A. & Co" <no-reply@auth.example>')
        send(mailer)
        message = box.letters[0].message
        assert str(message["From"]) == '"Größe, A. & Co" <no-reply@auth.example>'
        assert message["To"] == "alice@example.com"
        assert message["Date"] == "Tue, 01 Jan 2030 12:00:00 +0000"
        assert message["Auto-Submitted"] == "auto-generated"
        assert sorted(set(message.keys())) == [
            "Auto-Submitted",
            "Content-Type",
            "Date",
            "From",
            "MIME-Version",
            "Message-ID",
            "Subject",
            "To",
        ]

    def test_a_repeated_mail_has_the_same_id(self, mailer: Mailer, box: Refusing) -> None:
        for message_id in (ID, ID, uuid4()):
            send(mailer, message_id=message_id)
        ids = [letter.message["Message-ID"] for letter in box.letters]
        assert ids[0] == ids[1] == f"<{ID}@localhost>"
        assert ids[2] != ids[0]

    @pytest.mark.parametrize(
        "address",
        [
            "o'neil+tag@example.com",
            "!#$%&'*+-/?=^_`{|}~@example.com",
            "jörg@example.com",
            "用户@xn--fsqu00a.example",
        ],
    )
    def test_any_address_that_an_account_can_have_fits(
        self, mailer: Mailer, box: Refusing, address: str
    ) -> None:
        send(mailer, to=address)
        (letter,) = box.letters
        assert letter.to == address
        assert f"\r\nTo: {address}\r\n".encode() in letter.content

    @pytest.mark.parametrize("name", ["Alice", "Ünsal 東京", "x" * 40])
    def test_it_needs_no_eight_bit_channel(self, mailer: Mailer, box: Refusing, name: str) -> None:
        send(mailer, name=name)
        content = box.letters[0].content
        assert content.isascii()
        assert all(len(line) <= 78 for line in content.split(b"\r\n"))
        assert f"Hello {name}," in box.letters[0].text


@settings(max_examples=40)
@given(name=st.text(max_size=100))
def test_no_name_adds_a_header_a_link_or_markup(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    box = Refusing()
    mailer = Mailer(make_settings("sqlite://", Path(), public_url="https://auth.example"), box)
    send(mailer, name=plain_name(name))
    send(mailer, name="")
    odd, plain = (letter.message for letter in box.letters)
    assert odd.keys() == plain.keys()
    assert box.letters[0].text.count("://") == box.letters[1].text.count("://")
    odd_html, plain_html = (letter.html for letter in box.letters)
    assert odd_html.count("<") == plain_html.count("<")
    assert odd_html.count("http") - name.count("http") <= plain_html.count("http")


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q?=0d=0abcc=3aeve=40evil.example?=@example.com",
        "a\r\nBcc: eve@evil.example",
        "a@b@example.com",
        '"a b"@example.com',
        "a>b@example.com",
        "a@[127.0.0.1]",
        "",
    ],
)
def test_an_address_that_older_releases_took_gets_no_mail(
    mailer: Mailer, box: Refusing, address: str
) -> None:
    with pytest.raises(DeliveryError, match="cannot be written to") as caught:
        send(mailer, to=address)
    assert caught.value.is_permanent
    assert box.letters == []
    assert mailer.is_ready


class TestBreaker:
    OUTAGE = TransportError("away", is_outage=True)
    REFUSAL = TransportError("unknown", is_outage=False)

    def fail(self, mailer: Mailer, box: Refusing, error: Exception, times: int) -> None:
        box.error = error
        for _ in range(times):
            with pytest.raises(DeliveryError):
                send(mailer)

    def test_five_outages_open_it_and_a_rest_lets_one_through(
        self, mailer: Mailer, box: Refusing
    ) -> None:
        seconds = [0.0]
        mailer.breaker = Breaker(
            "smtp", failures=5, reset_secs=BREAKER_RESET_SECS, monotonic=lambda: seconds[0]
        )
        self.fail(mailer, box, self.OUTAGE, 5)
        assert not mailer.is_ready
        box.error = None
        with pytest.raises(DeliveryError, match="away a moment ago"):
            send(mailer)
        seconds[0] += BREAKER_RESET_SECS
        assert mailer.is_ready
        send(mailer)
        assert len(box.letters) == 1
        assert mailer.breaker.state == "closed"

    def test_four_outages_do_not(self, mailer: Mailer, box: Refusing) -> None:
        self.fail(mailer, box, self.OUTAGE, 4)
        assert mailer.is_ready

    def test_refused_recipients_do_not_however_many(self, mailer: Mailer, box: Refusing) -> None:
        self.fail(mailer, box, self.REFUSAL, 20)
        assert mailer.is_ready

    def test_a_fault_of_ours_does_not(self, mailer: Mailer, box: Refusing) -> None:
        box.error = ZeroDivisionError()
        for _ in range(20):
            with pytest.raises(ZeroDivisionError):
                send(mailer)
        assert mailer.is_ready
