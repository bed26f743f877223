"""Optional parts of the service."""

import pytest

from authserve import features
from authserve.settings import model, parsers


def test_every_feature_has_a_loader() -> None:
    assert tuple(features.LOADERS) == model.FEATURE_NAMES


def test_it_reads_a_list_of_known_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsers, "FEATURE_NAMES", ("pages", "oidc"))
    assert parsers.parse_features("oidc, pages") == ("oidc", "pages")


@pytest.mark.parametrize("raw", ["pages", "none, oidc", "oidc,saml", " "])
def test_it_refuses_other_names(monkeypatch: pytest.MonkeyPatch, raw: str) -> None:
    monkeypatch.setattr(parsers, "FEATURE_NAMES", ("oidc",))
    with pytest.raises(parsers.ValidationError, match="features \\(oidc\\)"):
        parsers.parse_features(raw)
