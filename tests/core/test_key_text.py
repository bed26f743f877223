"""Secrets as text."""

import re

from authserve.core.key_text import hint_of, is_key_text, new_key_text

PREFIX = "as_cs_"


def test_a_new_secret_has_its_prefix_and_form() -> None:
    secrets = {new_key_text(PREFIX) for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert re.fullmatch(r"as_cs_[0-9A-Za-z]{49}", secret)
        assert is_key_text(secret, PREFIX)
        assert secret.endswith(hint_of(secret))
        assert not is_key_text(secret, "ask_")


def test_one_wrong_character_is_found() -> None:
    secret = new_key_text(PREFIX)
    for place in range(len(secret)):
        for other in "0Az_é\x00":
            if secret[place] != other:
                assert not is_key_text(secret[:place] + other + secret[place + 1 :], PREFIX)
    for text in ("", PREFIX, secret[:-1], f"{secret}0", f" {secret}"):
        assert not is_key_text(text, PREFIX)
