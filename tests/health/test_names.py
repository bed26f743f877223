"""`flask doctor` finds variables whose name is nearly a setting's."""

from pathlib import Path

import pytest

import config
from authserve.core.findings import Finding, Level
from authserve.health.deployment_checks import check_names


def check(tmp_path: Path, **environ: str) -> Finding:
    return check_names(config.load_settings(environ, instance_path=tmp_path))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FEATURE", "FEATURES"),
        ("PUBLIC_ULR", "PUBLIC_URL"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("DATABASE_URI_FILE", "DATABASE_URL"),
        ("MAIL_FROM_FILE", "MAIL_FROM"),
    ],
)
def test_it_names_the_setting_that_was_meant(tmp_path: Path, name: str, meant: str) -> None:
    finding = check(tmp_path, **{name: "topsecret"})
    assert finding.level is Level.WARNING
    assert f"{name} (did you mean {meant}?)" in finding.message
    assert "topsecret" not in finding.message


def test_it_accepts_settings_and_names_of_other_programs(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("kV3mXq8ZtR1wYb6NcJ4hLd9PfGs2uAe7")
    names = ("HOSTNAME", "LANGUAGE", "MAIL", "PYTHONPATH", "REDIS_URL", "SMTP_URL", "TZ")
    finding = check(
        tmp_path,
        FEATURES="pages",
        SECRET_KEY_FILE=str(tmp_path / "secret"),
        **dict.fromkeys(names, "x"),
    )
    assert finding.level is Level.OK
