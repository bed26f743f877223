"""Fixtures of tests about the audit trail."""

import pytest

from authserve.audit.service import sealing, verifying


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two events a batch; other slices as small."""
    monkeypatch.setattr(sealing, "SEAL_SLICE", 2)
    monkeypatch.setattr(verifying, "BATCH_SLICE", 2)
    monkeypatch.setattr(verifying, "STRAY_SLICE", 2)
