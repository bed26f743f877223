"""`docs/audit.md` describes every action."""

import re

import config
from authserve.core.events import AuditAction
from authserve.settings.model import Settings

PAGE = (config.ROOT / "docs" / "audit.md").read_text(encoding="utf-8")


def test_the_page_lists_exactly_the_actions() -> None:
    listed = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| [^|]+ \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(AuditAction)


def test_the_page_has_the_default_retention() -> None:
    days = Settings.__dataclass_fields__["audit_retention"].default.days
    assert f"`{days} days`" in PAGE
