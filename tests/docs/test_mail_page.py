"""The page about mails names and shows every one."""

import config
from authserve.mail.policy import MailKind

DOCS = config.ROOT / "docs"

PAGE = (DOCS / "mail.md").read_text(encoding="utf-8")


def test_every_mail_has_a_row_and_a_picture() -> None:
    """`make pictures` makes the picture of a new mail."""
    kinds = set(MailKind) - {MailKind.TEST}
    assert {kind for kind in kinds if f"[`{kind}`](pictures/mails/{kind}.png)" not in PAGE} == set()
    pictures = {path.stem for path in (DOCS / "pictures" / "mails").glob("*.png")}
    assert pictures == {kind.value for kind in MailKind}


def test_no_picture_is_large() -> None:
    """Every clone of the repository holds all versions of them."""
    large = [path for path in (DOCS / "pictures").rglob("*.png") if path.stat().st_size > 40_000]
    assert large == []
