"""The framework presets, enforced: the sites work in a real browser, and it has nothing to
complain of.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.chromium import Tab
from tests.browser.presets.sites.content import FILE, ITEMS, PASSWORD, USER
from tests.e2e.processes import until
from tests.portion import by_default, full

SITES = ("fastapi", "flask", "django")
SESSIONS = {"fastapi": "session", "flask": "session", "django": "sessionid"}
NO_FONT = ("Failed to decode downloaded font: https://fonts.gstatic.com/", "OTS parsing error: ")


def text(tab: Tab, selector: str = "body") -> str:
    """What people read there."""
    return str(tab.run(f"document.querySelector({json.dumps(selector)}).innerText"))


def awaits(tab: Tab, condition: str) -> None:
    """Wait until a condition holds in the page."""
    tab.awaits(f"Boolean({condition})", f"{condition}; so far: {complaints(tab)}")


def complaints(tab: Tab) -> list[str]:
    """What the browser has against the page, but for its advice on markup, speed and what will
    go.
    """
    return [
        data
        for data in tab.complaints
        if not data.startswith(("GenericIssue: ", "PerformanceIssue: ", "DeprecationIssue: "))
    ]


def go_home(tab: Tab, site: str) -> None:
    """The home page, at rest: its data has come, so nothing moves any more."""
    tab.visit(f"https://{site}.test/")
    awaits(tab, "document.getElementById('items').textContent")


def log_in(tab: Tab, site: str) -> None:
    """Through the site's own form."""
    tab.visit(f"https://{site}.test/login")
    tab.type("[name=username]", USER)
    tab.type("[name=password]", PASSWORD)
    with tab.loading():
        tab.click("button")


@pytest.mark.parametrize("site", SITES)
def test_the_home_page_has_its_style_picture_script_and_data(tab: Tab, site: str):
    """Same-origin assets load, the script runs, and its fetch of the API is read."""
    go_home(tab, site)

    assert text(tab, "#items") == ", ".join(ITEMS)
    assert tab.run("getComputedStyle(document.querySelector('h1')).color") == "rgb(1, 2, 3)"
    assert tab.run("document.getElementById('mark').naturalWidth") == 1
    assert complaints(tab) == []


@pytest.mark.parametrize("site", by_default(SITES, "fastapi".__eq__))
def test_a_script_posts_with_its_csrf_token(tab: Tab, site: str):
    """The token is readable where scripts look for it: Django's in a cookie, the others' in the
    page.
    """
    go_home(tab, site)
    tab.click("#note")
    awaits(tab, "document.getElementById('noted').textContent")

    assert text(tab, "#noted") == "200"
    assert complaints(tab) == []


@pytest.mark.parametrize("site", by_default(SITES, "flask".__eq__))
def test_login_with_csrf_works_and_its_cookie_is_locked(tab: Tab, site: str):
    """The form is sent, checked and followed; the session cookie is Secure, HttpOnly and
    SameSite=Lax.
    """
    log_in(tab, site)

    assert text(tab, "h1") == f"Hello {USER}"
    session = {cookie["name"]: cookie for cookie in tab.send("Network.getCookies")["cookies"]}[
        SESSIONS[site]
    ]
    assert (session["secure"], session["httpOnly"], session["sameSite"]) == (True, True, "Lax")
    assert SESSIONS[site] not in tab.run("document.cookie")
    assert complaints(tab) == []


@pytest.mark.parametrize("site", by_default(SITES, "flask".__eq__))
def test_a_file_is_saved_octet_for_octet(tab: Tab, site: str, tmp_path: Path):
    """By a link on the page."""
    tab.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    go_home(tab, site)
    tab.click("#file")
    until((tmp_path / "stock.bin").exists, "the file is saved")

    assert (tmp_path / "stock.bin").read_bytes() == FILE
    assert complaints(tab) == []


@pytest.mark.parametrize("site", by_default(SITES, "django".__eq__))
def test_an_injected_script_does_not_run_and_is_reported(tab: Tab, site: str):
    """The preset is in force, and a violation would be seen by the proofs beside this one."""
    tab.visit(f"https://{site}.test/inline")

    assert text(tab, "#said") == ""
    assert any(
        "violation of script-src-elem by inline" in complaint for complaint in complaints(tab)
    )
    headers = dict(tab.run("fetch('/inline').then((response) => [...response.headers])"))
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert "strict-transport-security" in headers
    assert "server" not in headers


def test_swagger_ui_loads_and_tries_the_api(tab: Tab):
    """FastAPI's /docs, with the real Swagger UI: an operation is opened, executed and answered."""
    tab.visit("https://fastapi.test/docs")
    awaits(tab, "document.querySelector('#operations-default-items_api_items_get')")
    tab.click("#operations-default-items_api_items_get .opblock-summary-control")
    awaits(tab, "document.querySelector('.try-out__btn')")
    tab.click(".try-out__btn")
    awaits(tab, "document.querySelector('.execute')")
    tab.click(".execute")
    awaits(tab, "document.querySelector('.live-responses-table tbody .response-col_status')")

    assert "200" in text(tab, ".live-responses-table tbody .response-col_status")
    assert "kettle" in text(tab, ".live-responses-table")
    assert complaints(tab) == []


@full
def test_redoc_loads(tab: Tab):
    """FastAPI's /redoc, with the real ReDoc, its fonts, pictures and search worker."""
    tab.visit("https://fastapi.test/redoc")
    awaits(tab, "document.querySelector('[data-section-id]')")
    # What stands for the font is none: that the browser says so, some time after the text, proves
    # that it came through.
    until(
        lambda: tab.hears() and any(data.startswith(NO_FONT) for data in tab.complaints),
        "the font came",
    )

    assert "/api/items" in tab.run("document.body.textContent")
    assert [data for data in complaints(tab) if not data.startswith(NO_FONT)] == []


def test_djangos_admin_works(tab: Tab):
    """Its login, index, list, and a form with scripts: a user is added, and the list filters."""
    tab.visit("https://django.test/admin/")
    tab.type("[name=username]", USER)
    tab.type("[name=password]", PASSWORD)
    with tab.loading():
        tab.click("[type=submit]")
    assert "Site administration" in text(tab)
    tab.visit("https://django.test/admin/auth/user/add/")
    awaits(tab, "window.django && django.jQuery")
    tab.type("[name=username]", "customer")
    tab.type("[name=password1]", "battery staple")
    tab.type("[name=password2]", "battery staple")
    with tab.loading():
        tab.click("[name=_save]")
    awaits(
        tab, "document.querySelector('.selector-chosen')"
    )  # the two-sided list of groups, made by a script
    awaits(tab, "document.querySelector('.datetimeshortcuts')")
    tab.visit("https://django.test/admin/auth/user/?q=customer")

    assert "customer" in text(tab, "#result_list")
    assert complaints(tab) == []
