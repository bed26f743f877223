"""Check that PostgreSQL applies the timeouts that the service asks for."""

import re

from sqlalchemy import text

from authserve.database.engine import engine_options
from authserve.database.transactions import reading
from authserve.health.finding import Finding, Level
from authserve.settings.model import Settings

_IN_FORCE = text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)")


def database_timeouts(settings: Settings) -> Finding:
    """Warn of timeouts that are not in force because a pooler does not pass them on."""
    name = "timeouts"
    wanted = _wanted_timeouts(settings)
    with reading() as connection:
        rows = connection.execute(_IN_FORCE, {"names": list(wanted)}).all()
    in_force = {row.name: row.setting for row in rows}
    missing = sorted(each for each, value in wanted.items() if in_force.get(each) != value)
    if not missing:
        return Finding(name, Level.OK, "The database ends what takes too long.")
    message = (
        f"Not in force: {', '.join(missing)}. A pooler drops them: give the role its own with "
        f"ALTER ROLE … SET {missing[0]} = {wanted[missing[0]]}, or use session pooling."
    )
    return Finding(name, Level.WARNING, message)


def _wanted_timeouts(settings: Settings) -> dict[str, str]:
    """Return the timeouts of each new connection in milliseconds, by the server's names."""
    options = engine_options(settings.database_url, pool_size=1)["connect_args"]["options"]
    return dict(re.findall(r"-c (\w+_timeout)=([0-9]+)\b", options))
