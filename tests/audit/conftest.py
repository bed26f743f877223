"""Fixtures of tests about the audit trail."""

import pytest

from authserve.audit import seal
from authserve.audit.verifying import trail, unsealed


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two events a batch; other slices as small."""
    monkeypatch.setattr(seal, "SEAL_SLICE", 2)
    monkeypatch.setattr(trail, "BATCH_SLICE", 2)
    monkeypatch.setattr(unsealed, "STRAY_SLICE", 2)
