"""Accessibility of every page: contrast, keyboard, small windows; and Swagger UI."""

import pytest
from playwright.sync_api import Page, Route, expect

TOKEN = "A" * 64

SLOW_MS = 120_000
"""Limit in milliseconds for Swagger UI to render; only a failure takes nearly as long."""

PATHS = ("/verify-email", "/reset-password", "/confirm-email", "/accept-invitation")

CONTRAST = """() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = parse(color).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((parse(color)[3] ?? 1) > 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const isText = (element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
  return [...document.body.querySelectorAll("*")]
    .filter((element) => element.checkVisibility() && (isText(element) || element.matches("input")))
    .map((element) => {
      const [low, high] = [getComputedStyle(element).color, ground(element)]
        .map(luminance)
        .sort((a, b) => a - b);
      return [element.outerHTML.slice(0, 60), (high + 0.05) / (low + 0.05)];
    })
    .filter(([, ratio]) => ratio < 4.5);
}"""
"""Return the texts of the page with less contrast than WCAG 2.2, 1.4.3 asks for."""


def show_fault(page: Page) -> None:
    page.get_by_role("button").click()
    expect(page.locator(".faults li")).to_have_count(1)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_suits_every_window(site, open_page, path: str, scheme: str) -> None:
    page = open_page(f"{site.url}{path}#{TOKEN}", color_scheme=scheme)
    show_fault(page)
    for width in (320, 360, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) == []

    ground = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert ground == {"light": "rgb(244, 245, 247)", "dark": "rgb(20, 23, 27)"}[scheme]
    page.locator("input[autocomplete$=password]").fill("not the password, and no such link")
    page.get_by_role("button").click()
    expect(page.locator("#message h2")).to_have_text("This link is not good any more")
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("path", PATHS)
def test_it_has_names_for_everything(site, open_page, path: str) -> None:
    page = open_page(f"{site.url}{path}#{TOKEN}")
    expect(page.locator("form")).to_be_visible()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_count(1)
    assert page.title() == f"{heading.text_content()} – localhost"
    assert page.locator("html").get_attribute("lang") == "en"
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("button")).not_to_have_accessible_name("")
    for field in page.locator("input").all():
        expect(field).not_to_have_accessible_name("")
    assert page.locator("[tabindex]:not([tabindex='-1'])").count() == 0
    show_fault(page)
    faulty = page.locator("[aria-invalid=true]")
    expect(faulty).to_be_focused()
    fault = page.locator(".faults li").text_content() or ""
    description = faulty.evaluate(
        "field => field.getAttribute('aria-describedby').split(' ')"
        ".map(id => document.getElementById(id).textContent).join(' ')"
    )
    assert fault in description


def test_it_takes_a_paste(site, open_page) -> None:
    page = open_page(f"{site.url}/reset-password#{TOKEN}")
    field = page.get_by_label("New password")
    field.focus()
    prevented = field.evaluate(
        "field => !field.dispatchEvent(new ClipboardEvent('paste', { cancelable: true }))"
    )
    assert prevented is False
    long = "a long password of many words " * 10
    page.keyboard.insert_text(long)
    expect(field).to_have_value(long)


def use_swagger_ui(page: Page, url: str) -> None:
    page.goto(url)
    title = page.locator(".swagger-ui .info .title")
    expect(title).to_contain_text("authserve", timeout=SLOW_MS)
    login = page.locator(".opblock", has_text="/api/v1/auth/login").first
    login.click()
    login.get_by_role("button", name="Try it out").click()
    login.get_by_role("button", name="Execute").click()
    answer = login.locator(".live-responses-table")
    expect(answer).to_contain_text("invalid_credentials", timeout=SLOW_MS)


def test_swagger_ui_runs_under_its_policy(site, open_page) -> None:
    use_swagger_ui(open_page(), f"{site.url}/docs")


@pytest.mark.parametrize("prefix", ["/auth", "/a/b"])
def test_swagger_ui_runs_behind_a_proxy_that_strips_a_prefix(site, open_page, prefix) -> None:
    page, paths = open_page(), []

    def strip(route: Route) -> None:
        path = route.request.url.removeprefix(site.url)
        paths.append(path)
        route.fulfill(response=route.fetch(url=site.url + path.removeprefix(prefix)))

    page.route(f"{site.url}/**", strip)
    use_swagger_ui(page, f"{site.url}{prefix}/docs")
    assert f"{prefix}/api/v1/auth/login" in paths
    assert all(path.startswith(f"{prefix}/") for path in paths)
