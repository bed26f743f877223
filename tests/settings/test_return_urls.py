"""Addresses to which people may be sent back: only what every URL parser reads alike."""

import pytest

from authserve.settings.return_urls import (
    MAX_URL_LENGTH,
    is_return_url_allowed,
    read_return_url,
)
from authserve.settings.urls import parse_return_urls

ALLOWED = parse_return_urls("https://app.example.com/inside http://localhost:3000 https://[::1]/x")


@pytest.mark.parametrize(
    "target",
    [
        "https://app.example.com/inside",
        "https://APP.example.com:443/inside/",
        "https://app.example.com/inside/page?next=/a//b&q=%2e%2F",
        "https://app.example.com/inside/a%20b",
        "http://localhost:3000",
        "http://localhost:3000/anything",
        "https://[::1]/x/y",
    ],
)
def test_it_allows_the_address_and_those_below(target: str) -> None:
    assert is_return_url_allowed(target, ALLOWED)


@pytest.mark.parametrize(
    "target",
    [
        "https://app.example.com",
        "https://app.example.com/insidious",
        "https://app.example.com/Inside",
        "https://app.example.com:444/inside",
        "http://app.example.com/inside",
        "https://evil.example/inside",
        "https://app.example.com.evil.example/inside",
        "https://localhost:3000/",
        "http://localhost/",
    ],
)
def test_it_refuses_other_addresses(target: str) -> None:
    assert read_return_url(target) is not None or target.startswith("http://app")
    assert not is_return_url_allowed(target, ALLOWED)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "//app.example.com/inside",
        "/inside",
        "\\\\app.example.com\\inside",
        "https:/app.example.com/inside",
        "https:app.example.com/inside",
        "https:///app.example.com/inside",
        "https://app.example.com\\@evil.example/inside",
        "https://app.example.com@evil.example/inside",
        "https://user:pw@app.example.com/inside",
        "https://app.example.com/inside#",
        "https://app.example.com/inside#fragment",
        "https://app.example.com:/inside",
        "https://app.example.com:0/inside",
        "https://app.example.com:65536/inside",
        "https://app.example.com/inside//x",
        "https://app.example.com/inside/../outside",
        "https://app.example.com/inside/.",
        "https://app.example.com/inside/%2e%2e/outside",
        "https://app.example.com/inside/%2E%2Foutside",
        "https://app.example.com/inside%5c..",
        "https://app.example.com/inside/%0d%0aSet-Cookie:a=b",
        "https://app.example.com/inside/%",
        "https://app.example.com/inside/%zz",
        " https://app.example.com/inside",
        "https://app.example.com/inside ",
        "https://app.example.com/inside\n",
        "https://app.example.com/in\tside",
        "https://app.example.com/inside\x00",
        "https://app.example.com\u3002evil.example/inside",
        "https://\uff41pp.example.com/inside",
        "https://app.example.com/ins\u0456de",
        "https://app.example.com./inside",
        "https://.app.example.com/inside",
        "javascript:alert(1)//https://app.example.com/inside",
        "data:text/html,https://app.example.com/inside",
        "HTTPS://app.example.com/inside",
        "http://127.1/",
        "http://0x7f000001/",
        "http://localhost.evil.example/",
        f"https://app.example.com/inside/{'a' * MAX_URL_LENGTH}",
    ],
)
def test_it_refuses_every_ambiguous_form(target: str) -> None:
    assert read_return_url(target) is None
    assert not is_return_url_allowed(target, ALLOWED)
