"""The look of mails: strict markup, the brand's colours, and the logo inside the mail."""

import re
import struct
from email.message import EmailMessage
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from authserve.core.brand import DARK, LIGHT, contrast
from authserve.mail.branding import make_mail_colors, read_logo
from authserve.mail.mailer import Mailer
from authserve.mail.policy import MailKind
from tests.conftest import make_settings
from tests.support.browsing import parse_strictly
from tests.support.mail import Letter, Mailbox


def build(folder: Path, kind: MailKind = MailKind.RESET_PASSWORD, **settings: object) -> Letter:
    box = Mailbox()
    Mailer(make_settings("sqlite://", folder, **settings), box).send_sample(
        kind, to="alice@example.com"
    )
    return box.letters[0]


def write_png(path: Path, width: int, height: int) -> Path:
    """Write the beginning of a PNG, which is all that is read of it, and some bytes more."""
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\r\n" * 90
    )
    return path


@pytest.mark.parametrize("kind", list(MailKind))
def test_the_markup_is_strict_and_loads_nothing(tmp_path: Path, kind: MailKind) -> None:
    html = build(tmp_path, kind).html
    tree = parse_strictly(html)
    assert tree.attrib == {"lang": "en", "dir": "ltr"}
    assert len(list(tree.iter("h1"))) == 1
    # Screen readers must not announce a layout as a table of data.
    assert {table.get("role") for table in tree.iter("table")} == {"presentation"}
    assert [e.tag for e in tree.iter() if e.tag in ("img", "link", "script")] == []
    assert re.findall(r"url\(|@import|data:|\son[a-z]+=", html) == []


def test_the_button_is_a_link_whose_address_is_also_written(tmp_path: Path) -> None:
    tree = parse_strictly(build(tmp_path).html)
    button, written = tree.iter("a")
    assert (button.text, button.get("href")) == ("Choose a new password", written.text)
    assert written.get("href") == written.text


def styled(tree: Element, name: str) -> list[str]:
    return [e.get("style", "") for e in tree.iter() if name in e.get("class", "").split()]


@pytest.mark.parametrize("color", ["#2457a6", "#ffe45c", "#000000"])
def test_the_brands_colour_can_be_read_in_both_themes(tmp_path: Path, color: str) -> None:
    html = build(tmp_path, brand_color=color).html
    colors = make_mail_colors(color)
    for found, theme in ((colors["accent"], LIGHT), (colors["dark_accent"], DARK)):
        assert all(contrast(found, ground) >= 4.5 for ground in theme.grounds)
        assert all(ground in html for ground in theme.grounds)
    for style in styled(parse_strictly(html), "button"):
        assert f"background: {colors['accent']};" in style
    dark = html.partition("prefers-color-scheme: dark")[2].partition("</style>")[0]
    assert f"background: {colors['dark_accent']} !important" in dark
    assert f"color: {colors['dark_on_accent']} !important" in dark


def test_the_support_address_is_in_both_parts(tmp_path: Path) -> None:
    plain = build(tmp_path)
    assert "Help" not in plain.html + plain.text
    letter = build(tmp_path, brand_support_url="https://example.com/help?a=1&b=2")
    assert 'href="https://example.com/help?a=1&amp;b=2"' in letter.html
    assert "Help: https://example.com/help?a=1&b=2" in letter.text


class TestLogo:
    @pytest.mark.parametrize(
        ("size", "shown"),
        [
            ((56, 56), (28, 28)),
            ((14, 7), (56, 28)),
            ((4000, 100), (192, 5)),
            ((9000, 1), (192, 1)),
            ((1, 9000), (1, 28)),
            ((0, 0), (1, 1)),
        ],
    )
    def test_it_is_as_high_as_on_pages(
        self, tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
    ) -> None:
        logo = read_logo(write_png(tmp_path / "logo.png", *size))
        assert logo is not None
        assert (logo.width, logo.height) == shown

    def test_it_travels_inside_the_mail(self, tmp_path: Path) -> None:
        path = write_png(tmp_path / "logo.png", 56, 56)
        letter = build(tmp_path, brand_logo=path, mail_from="no-reply@auth.example")
        text, related = letter.message.iter_parts()
        assert (text.get_content_type(), related.get_content_type()) == (
            "text/plain",
            "multipart/related",
        )
        assert isinstance(related, EmailMessage)
        assert related.get_param("type") == "text/html"
        page, image = related.iter_parts()
        assert page.get_content_type() == "text/html"
        assert image.get_content_type() == "image/png"
        assert image.get_content_disposition() == "inline"
        assert image.get_payload(decode=True) == path.read_bytes()
        (shown,) = parse_strictly(letter.html).iter("img")
        assert f"<{shown.attrib['src'].removeprefix('cid:')}>" == image["Content-ID"]
        assert shown.attrib["src"].endswith("@auth.example")
        # The name stands beside it.
        assert shown.attrib["alt"] == ""
        assert letter.content.isascii()
        assert all(len(line) <= 78 for line in letter.content.split(b"\r\n"))

    def test_a_template_without_a_logo_carries_none(self, tmp_path: Path) -> None:
        """Mail programs would list the picture as an attachment."""
        (tmp_path / "reset_password.html").write_text("{{ link }}")
        path = write_png(tmp_path / "logo.png", 56, 56)
        content = build(tmp_path, brand_logo=path, mail_templates=tmp_path).content
        assert b"image/png" not in content
        assert b"multipart/related" not in content

    @pytest.mark.parametrize("content", [b"<svg/>", b"\x89PNG\r\n\x1a\n", b""])
    def test_only_a_png_is_shown(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "logo.png"
        path.write_bytes(content)
        assert read_logo(path) is None
        assert "<img" not in build(tmp_path, brand_logo=path).html


def test_the_frame_follows_the_language(tmp_path: Path) -> None:
    mailer = Mailer(make_settings("sqlite://", tmp_path), Mailbox())
    values = {**mailer._common, "language": "qps-plocm", "direction": "rtl", "logo": None}
    known = {**values, "subject": "x", "name": "", "link": None, "logo_url": ""}
    html = mailer._render(MailKind.PASSWORD_CHANGED, "html", known)
    tree = parse_strictly(html)
    assert tree.attrib == {"lang": "qps-plocm", "dir": "rtl"}
    (card,) = styled(tree, "card")
    assert "text-align: right" in card
