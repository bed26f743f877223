"""Fixtures of tests about the audit trail."""

import pytest

from authserve.audit import seal, verify


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set two events a batch, and other slices as small."""
    monkeypatch.setattr(seal, "SEAL_SLICE", 2)
    monkeypatch.setattr(verify, "BATCH_SLICE", 2)
    monkeypatch.setattr(verify, "UNSEALED_SLICE", 2)
