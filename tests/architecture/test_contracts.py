"""The import contracts hold, and bite: each planted violation breaks exactly the one meant."""

import configparser
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGE, ROOT

LINT = "from importlinter.cli import lint_imports_command as lint; lint()"


def lint(folder: Path) -> dict[str, str]:
    """The verdict on each contract by its name: KEPT or BROKEN."""
    command = [sys.executable, "-c", LINT, "--config", "setup.cfg", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", done.stdout, re.MULTILINE))
    assert verdicts, done.stdout + done.stderr
    assert done.returncode == (1 if "BROKEN" in verdicts.values() else 0)
    return verdicts


def contracts() -> dict[str, configparser.SectionProxy]:
    """Every contract by its id."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    prefix = "importlinter:contract:"
    return {name.removeprefix(prefix): parser[name] for name in parser if name.startswith(prefix)}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the service that may be spoilt."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(PACKAGE, folder / "authserve", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", folder)
    return folder


@pytest.fixture
def spoilt(copied: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The copy with one line at the end of one file, which may be a new one."""
    name, line = request.param
    path = copied / "authserve" / name
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write(f"\n{line}\n")
    yield copied
    if before is not None:
        path.write_bytes(before)
    else:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def test_every_contract_is_kept(copied: Path) -> None:
    verdicts = lint(copied)
    assert set(verdicts.values()) == {"KEPT"}
    assert len(verdicts) == len(contracts())


# `health` is above all these features, so that nothing but the contract meant forbids its
# import.
ABOVE_ALL = "health/routes.py"

VIOLATIONS = [
    pytest.param(("users/errors.py", "import authserve.rbac.policy"), "packages", id="upward"),
    pytest.param(
        ("users/errors.py", "def later():\n    import authserve.rbac.policy"),
        "packages",
        id="upward and lazy",
    ),
    pytest.param(("sessions/errors.py", "import authserve.rbac.errors"), "packages", id="sideways"),
    pytest.param(("core/clock.py", "import authserve.http.fields"), "packages", id="core"),
    pytest.param(("stray/__init__.py", ""), "packages", id="a package without a place"),
    pytest.param(
        ("sessions/policy.py", "import authserve.sessions.models"), "pure", id="a table in a policy"
    ),
    pytest.param(("users/events.py", "import authserve.users.models"), "pure", id="in events"),
    pytest.param(
        ("auth/models.py", "import authserve.auth.queries"), "tables", id="statements of a table"
    ),
    pytest.param(("rbac/policy.py", "import flask"), "noflask", id="Flask in a policy"),
    pytest.param(("users/lists.py", "import flask"), "noflask", id="Flask in a use case"),
    pytest.param(
        ("users/accounts.py", "from flask_jwt_extended import current_user"),
        "noflask",
        id="Flask-JWT-Extended in a use case",
    ),
    pytest.param(
        ("mfa/policy.py", "from fido2.webauthn import AuthenticatorData"),
        "fido2",
        id="the passkey library in a policy",
    ),
    pytest.param((ABOVE_ALL, "import authserve.users.routes"), "routes", id="routes"),
]

TABLES = {
    contract: section["protected_modules"].strip()
    for contract, section in contracts().items()
    if contract.endswith("_tables")
}

ALL_TABLES = (ABOVE_ALL, "\n".join(f"import {module}" for module in TABLES.values()))


@pytest.mark.parametrize(("spoilt", "contract"), VIOLATIONS, indirect=["spoilt"])
def test_a_violation_breaks_its_contract_and_no_other(spoilt: Path, contract: str) -> None:
    verdicts = lint(spoilt)
    broken = [name for name, verdict in verdicts.items() if verdict == "BROKEN"]
    assert broken == [contracts()[contract]["name"]]


@pytest.mark.parametrize("spoilt", [ALL_TABLES], indirect=True)
def test_the_tables_of_each_feature_have_a_contract(spoilt: Path) -> None:
    """Planted together: each import names the tables of one feature, so it breaks one contract."""
    broken = [name for name, verdict in lint(spoilt).items() if verdict == "BROKEN"]
    assert broken == [contracts()[contract]["name"] for contract in TABLES]


def packages_with(role: str) -> set[str]:
    """The features that have a file, or a package, of this role."""
    found = [*PACKAGE.glob(f"*/{role}.py"), *PACKAGE.glob(f"*/{role}/__init__.py")]
    return {path.relative_to(PACKAGE).parts[0] for path in found}


def test_the_tables_of_every_feature_are_private() -> None:
    assert set(TABLES.values()) == {f"authserve.{name}.models" for name in packages_with("models")}


def test_every_contract_has_a_violation_that_breaks_it() -> None:
    assert {violation.values[1] for violation in VIOLATIONS} | set(TABLES) == set(contracts())
