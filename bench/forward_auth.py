"""Requests that a reverse proxy asks about, which exist only with `FEATURES=forward-auth`."""

import subprocess
import sys
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

from bench.gates import CALLERS, Bench, Row, row_against_floor
from bench.load import Caller, always
from bench.pages import sign_in
from bench.server import ROOT

HOST = "bench.localhost"
"""The host of the application; outside production it needs no https."""

REGISTER = (
    *("clients", "create", "bench", "--kind", "proxy", "--origin", f"http://{HOST}"),
    *("--set", "first_party=true"),
)

FORWARDED = {"X-Forwarded-Proto": "http", "X-Forwarded-Host": HOST, "Sec-Fetch-Mode": "navigate"}

CHECK = "/forward-auth"


def measure_forward_auth(bench: Bench) -> list[Row]:
    """Return the rate of `GET /forward-auth` against the floor; no row if the feature is off."""
    if "forward-auth" not in bench.environ["FEATURES"]:
        return []
    command = [sys.executable, "-m", "flask", *REGISTER]
    subprocess.run(command, cwd=ROOT, env=bench.environ, check=True, stdout=subprocess.DEVNULL)
    own = sign_in(bench)
    request = _request(_open_application(bench, own))
    service = [Caller(bench.service.port, always(request)) for _ in range(CALLERS)]
    floor = [Caller(bench.floor.port, always(bench.floor_request)) for _ in range(CALLERS)]
    return [row_against_floor(bench, service, floor, "G1 forward-auth", f"GET {CHECK}")]


def _open_application(bench: Bench, own: str) -> str:
    """Return the cookie of the application's host, after a sign-in.

    Args:
        own: the cookie of a browser that is signed in at the service.
    """
    began = _get(bench, CHECK, FORWARDED)
    flow = _cookie_of(began)
    left = urlsplit(began.headers["Location"])
    back = urlsplit(_get(bench, f"{left.path}?{left.query}", {"Cookie": own}).headers["Location"])
    return _cookie_of(_get(bench, f"{back.path}?{back.query}", {**FORWARDED, "Cookie": flow}))


def _cookie_of(response: HTTPResponse) -> str:
    return (response.headers["Set-Cookie"] or "").partition(";")[0]


def _get(bench: Bench, path: str, headers: dict[str, str]) -> HTTPResponse:
    host = bench.environ["PUBLIC_URL"].partition("//")[2]
    connection = HTTPConnection("127.0.0.1", bench.service.port)
    try:
        connection.request("GET", path, headers={"Host": host, **headers})
        response = connection.getresponse()
        if response.status not in (302, 303):
            raise RuntimeError(f"{path}: {response.status}")
        return response
    finally:
        connection.close()


def _request(cookie: str) -> bytes:
    headers = {"Host": HOST, **FORWARDED, "X-Forwarded-Uri": "/", "Cookie": cookie}
    lines = [f"GET {CHECK} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
