"""A Django site as people use it, through a sidecar that enforces a strict preset: log in, be
somebody, use the admin.
"""

import re
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from tests.e2e import wire
from tests.e2e.conftest import FrontOf
from tests.e2e.processes import Service
from tests.e2e.running import Sidecar
from tests.services.samples import PASSWORD, USER

STRICT = """\
version: 1
name: django
mode: enforce
extends: [oshp-2026-07]
rules:
  locked: {cookie: "*", attributes: {HttpOnly: true, SameSite: Strict}}
  mark: {header: X-Policy-Mark, action: set, value: one}
"""


@pytest.fixture(params=["direct", "report-only", "enforce"])
def site(
    request: pytest.FixtureRequest, services: Callable[[str], Service], front_of: FrontOf
) -> wire.Address:
    """The site itself, and through the sidecar in either mode: what holds for the first must
    hold for all.
    """
    if request.param == "direct":
        return services("django").address
    sidecar: Sidecar = front_of("django")
    sidecar.put(STRICT.replace("enforce", request.param))
    return sidecar.listen


class Browser:
    """Keeps cookies, and sends forms as a browser does."""

    def __init__(self, site: wire.Address) -> None:
        self._site = site
        self._host = f"{site[0]}:{site[1]}"
        self._cookies: dict[str, str] = {}

    def get(self, path: str) -> wire.Response:
        """Open a page."""
        return self._ask("GET", path, None)

    def submit(self, path: str, page: wire.Response, **fields: str) -> wire.Response:
        """Send the page's form."""
        token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page.body)
        hidden = {"csrfmiddlewaretoken": token[1].decode()} if token else {}
        return self._ask("POST", path, urlencode(hidden | fields).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> wire.Response:
        headers = [
            ("Host", self._host),
            ("Cookie", "; ".join(f"{name}={value}" for name, value in self._cookies.items())),
        ]
        if body is not None:
            headers += [
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("Origin", f"http://{self._host}"),
            ]
        response = wire.ask(self._site, wire.request(method, path, headers, body))
        for line in response.values("Set-Cookie"):
            name, _, rest = line.partition("=")
            self._cookies[name] = rest.partition(";")[0]
        return response


def test_log_in_with_csrf_and_session(site: wire.Address) -> None:
    """The login form's token and cookies, and the session they lead to, come through."""
    browser = Browser(site)
    assert browser.get("/account").value("Location") == "/login"
    done = browser.submit("/login", browser.get("/login"), username=USER, password=PASSWORD)
    assert (done.status, done.value("Location")) == (302, "/account")
    assert browser.get("/account").body == f"<h1>{USER}</h1>\n".encode()


def test_form_without_its_token_is_refused(site: wire.Address) -> None:
    """Django's own refusal of a forged form comes through."""
    browser = Browser(site)
    browser.get("/login")
    assert (
        browser.submit(
            "/login", wire.Response(200, (), b""), username=USER, password=PASSWORD
        ).status
        == 403
    )


def test_admin(site: wire.Address) -> None:
    """The admin's login, index and an edit form work."""
    browser = Browser(site)
    page = browser.get("/admin/login/?next=/admin/")
    assert (
        browser.submit("/admin/login/?next=/admin/", page, username=USER, password=PASSWORD).status
        == 302
    )
    assert b"Site administration" in browser.get("/admin/").body
    form = browser.get("/admin/auth/group/add/")
    added = browser.submit(
        "/admin/auth/group/add/", form, name=f"group at {site[1]} {len(form.lines)}"
    )
    assert added.value("Location") == "/admin/auth/group/"
    assert b"was added successfully" in browser.get("/admin/auth/group/").body
