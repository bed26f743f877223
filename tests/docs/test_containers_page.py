"""The files that docs/containers.md describes agree with the service, and with the page."""

import json
import re
import shlex

import config

PAGE = (config.ROOT / "docs" / "containers.md").read_text(encoding="utf-8")

GUNICORN = (config.ROOT / "gunicorn.conf.py").read_text(encoding="utf-8")

KNOWN = config.SETTINGS.keys() | {f"{name}_FILE" for name in config.SECRETS}

PROCFILE = dict(line.split(": ", 1) for line in (config.ROOT / "Procfile").read_text().splitlines())

MIGRATE, WEB, WORKER = (shlex.split(PROCFILE[name]) for name in ("release", "web", "worker"))

GRACEFUL_SECS = int(re.findall(r"^graceful_timeout = (\d+)$", GUNICORN, re.MULTILINE)[0])


def blocks(*, holding: str) -> str:
    """The one block of shell that holds some text."""
    found = re.findall(r"```bash\n(.+?)```", PAGE, re.DOTALL)
    (block,) = [block for block in found if holding in block]
    return str(block)


def dockerfile() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its arguments, continued lines joined."""
    text = (config.ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def last(instruction: str) -> str:
    return [rest for name, rest in dockerfile() if name == instruction][-1]


def copied() -> set[str]:
    """What the Dockerfile takes from the project."""
    copies = [rest.split()[:-1] for name, rest in dockerfile() if name == "COPY"]
    return {source for sources in copies if "--from" not in sources[0] for source in sources}


def test_the_image_serves_as_the_procfile_does() -> None:
    assert json.loads(last("CMD")) == WEB
    example = (config.ROOT / ".env.example").read_text(encoding="utf-8")
    assert f"\n#PORT={last('EXPOSE')}\n" in example


def test_the_image_has_all_that_runs_and_nothing_else() -> None:
    ignored = (config.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied()
    assert ignored[1] == "*"
    for name in copied():
        assert (config.ROOT / name).exists(), name
    assert {"authserve", "migrations", "Procfile", "requirements.txt"} <= copied()
    assert not {"tests", "docs", "instance", "secrets", ".env"} & copied()


def test_the_image_runs_without_root() -> None:
    user, group = last("USER").split(":")
    assert (int(user) > 0, group) == (True, "0")
