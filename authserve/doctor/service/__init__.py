"""What `flask doctor` finds and shows."""

from authserve.doctor.service.checks import Finding, Level, examine
from authserve.doctor.service.effective import EffectiveSetting, effective_settings

__all__ = ["EffectiveSetting", "Finding", "Level", "effective_settings", "examine"]
