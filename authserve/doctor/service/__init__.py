"""What `flask doctor` finds and shows."""

from authserve.doctor.service.checks import examine
from authserve.doctor.service.effective import EffectiveSetting, effective_settings
from authserve.doctor.service.finding import Finding, Level

__all__ = ["EffectiveSetting", "Finding", "Level", "effective_settings", "examine"]
