"""Fixtures of tests about the audit trail."""

import pytest

from authserve.audit.service import sealing
from authserve.audit.service.verifying import strays, trail


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two events a batch; other slices as small."""
    monkeypatch.setattr(sealing, "SEAL_SLICE", 2)
    monkeypatch.setattr(trail, "BATCH_SLICE", 2)
    monkeypatch.setattr(strays, "STRAY_SLICE", 2)
