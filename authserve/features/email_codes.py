"""Sign-in by mailed codes."""

from authserve.auth.email_code_routes import blueprint
from authserve.features.part import Part

PART = Part(blueprints=(blueprint,))
