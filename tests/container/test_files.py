"""The files are what their readers accept: builders, Docker Compose and Kubernetes."""

import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import config
from tests.support.server import DEADLINE_SECS

TOOLS = Path(sys.executable).parent

KUBERNETES = "1.33"
"""A release that is no longer new: what it accepts, newer ones do too."""


def check(*command: str) -> None:
    """Run one of the tools of `requirements-container.txt` on the project."""
    done = subprocess.run(
        [TOOLS / command[0], *command[1:]],
        cwd=config.ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_has_no_finding() -> None:
    check("hadolint", "Dockerfile")


def test_compose_yaml_follows_its_schema() -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def items() -> list[dict[str, object]]:
    text = (config.ROOT / "docs" / "examples" / "kubernetes.yaml").read_text(encoding="utf-8")
    found: list[dict[str, object]] = yaml.safe_load(text)["items"]
    return found


@pytest.mark.parametrize("item", items(), ids=lambda item: item["kind"])
def test_each_object_for_kubernetes_follows_its_schema(item: dict[str, object]) -> None:
    kubernetes_validate.validate(item, KUBERNETES, strict=True)
