"""What `flask doctor` finds and shows."""

from authserve.doctor.service.checks import examine
from authserve.doctor.service.effective import EffectiveSetting, effective_settings
from authserve.doctor.service.finding import Finding, Level
from authserve.doctor.service.waiting import wait_until_ready

__all__ = [
    "EffectiveSetting",
    "Finding",
    "Level",
    "effective_settings",
    "examine",
    "wait_until_ready",
]
