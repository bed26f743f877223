"""Pages of a signed-in person, which exist only with `FEATURES=pages`."""

from http.client import HTTPConnection
from statistics import quantiles
from urllib.parse import urlencode

from bench.filling import PASSWORD
from bench.gates import Bench, Row, user_name
from bench.load import Caller, always, run

PATHS = ("/sign-in", "/account", "/account/sign-in-methods", "/account/activity")
"""Pages to measure: the first as a stranger sees it, the others of a signed-in person."""

FIRST = 90
"""The number of an account that signs in nowhere else in a run."""


def measure_pages(bench: Bench) -> list[Row]:
    """Return the time of each page for one caller; no row if pages are off."""
    if "pages" not in bench.environ["FEATURES"]:
        return []
    cookie = sign_in(bench)
    return [_row(bench, path, cookie if path != "/sign-in" else "") for path in PATHS]


def _row(bench: Bench, path: str, cookie: str) -> Row:
    caller = Caller(bench.service.port, always(_request(bench, path, cookie)))
    run([caller], bench.seconds / 5)  # The first page of a worker compiles its templates.
    (result,) = run([caller], bench.seconds * bench.rounds).values()
    latencies_secs = result.require_success().latencies_secs
    p50, p99 = (quantiles(latencies_secs, n=100)[n - 1] * 1000 for n in (50, 99))
    return Row("", f"page {path}", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def _request(bench: Bench, path: str, cookie: str) -> bytes:
    host = bench.environ["PUBLIC_URL"].partition("//")[2]
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Accept: text/html", f"Cookie: {cookie}"]
    return "\r\n".join([*lines, "", ""]).encode()


def sign_in(bench: Bench) -> str:
    """Return the cookie of a browser that has signed in."""
    origin = bench.environ["PUBLIC_URL"]
    connection = HTTPConnection("127.0.0.1", bench.service.port)
    try:
        connection.request(
            "POST",
            "/sign-in",
            urlencode({"identifier": user_name(FIRST), "password": PASSWORD}),
            {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin},
        )
        response = connection.getresponse()
        if response.status != 303:
            raise RuntimeError(f"/sign-in: {response.status}")
        cookies = response.headers.get_all("Set-Cookie") or []
        return next(cookie.partition(";")[0] for cookie in cookies if "device" not in cookie)
    finally:
        connection.close()
