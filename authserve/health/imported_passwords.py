"""The check that the passwords of imported accounts can be verified."""

from authserve.health.finding import Finding, Level
from authserve.passwords.foreign_hashes import FLASK_SECURITY_PREFIX
from authserve.settings.model import Settings
from authserve.users.filling import is_hash_stored


def imported_passwords(settings: Settings) -> Finding:
    """Fail if accounts came from Flask-Security and its salt is not set."""
    name = "imported passwords"
    if settings.flask_security_salt or not is_hash_stored(FLASK_SECURITY_PREFIX):
        return Finding(name, Level.OK, "No imported password needs a setting that is not set.")
    message = (
        "Accounts came from Flask-Security and cannot sign in: set FLASK_SECURITY_SALT to that "
        "application's SECURITY_PASSWORD_SALT."
    )
    return Finding(name, Level.FAILURE, message)
