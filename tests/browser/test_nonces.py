"""The recipes of docs/nonces.md in a real Chromium: what carries the nonce runs, what was
injected does not.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Chromium, Tab
from tests.e2e.conftest import Start
from tests.e2e.processes import ROOT, Child, until
from tests.e2e.recipes import blocks
from tests.e2e.running import Sidecar, command
from tests.portion import by_default, full

DOCUMENT = (ROOT / "docs/nonces.md").read_text("utf-8")
(POLICY,) = (block.text for block in blocks(DOCUMENT, "yaml"))
RECIPES = {"FastAPI with Jinja2": "uvicorn", "Flask": "gunicorn", "Django": "gunicorn"}
"""Sections of the document, and what serves them."""
INJECTED = '<script>document.title = "injected"</script>\n'
DJANGO = """\
from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

settings.configure(
    SECRET_KEY="only-for-tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }],
)
django.setup()
from views import page

urlpatterns = [path("", page)]
app = get_wsgi_application()
"""

Serve = Callable[[str, bool], str]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """The service of a section, as it stands or with a stored injection in its page; its
    address.
    """
    children: list[Child] = []

    @cache
    def serving(section: str, injected: bool) -> str:
        folder = tmp_path_factory.mktemp("service")
        text = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)
        (text,) = (part for part in text if part.startswith(f"{section}\n"))
        files = {"main.py": DJANGO} if section == "Django" else {}
        for block in (*blocks(text, "python"), *blocks(text, "html")):
            first, _, rest = block.text.partition("\n")
            name = first.strip("{}# ")
            files[name] = rest + (INJECTED if injected and name.endswith(".html") else "")
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        if RECIPES[section] == "uvicorn":
            words = ("uvicorn", "--port", "0", "--no-access-log", "--app-dir", str(folder))
        else:
            config = "python:tests.services.gunicorn_conf"
            words = ("gunicorn", "-b", "127.0.0.1:0", "-c", config, "--pythonpath", str(folder))
        child = Child([sys.executable, "-m", *words, "main:app"], folder / "out")
        children.append(child)

        def port() -> str:
            said = child.stderr.read_text()
            assert child.returncode is None, said
            found = re.search(r"http://127\.0\.0\.1:\d+", said)
            return found[0] if found else ""

        return until(port, f"{section} listens")

    yield serving
    for child in children:
        child.ask_to_end()
    for child in children:
        child.end()


@pytest.fixture(params=by_default(RECIPES, lambda name: RECIPES[name] == "uvicorn"))
def section(request: pytest.FixtureRequest) -> str:
    """Each recipe in turn."""
    return str(request.param)


def seen(browser: Chromium, sidecar: Sidecar) -> tuple[dict[str, Any], list[str]]:
    """What the page is after its scripts, and what the browser complained of."""
    with browser.tab() as tab:
        tab.visit(f"http://127.0.0.1:{sidecar.listen[1]}/")
        found = tab.run(
            "({title: document.title, nonce: document.querySelector('script').nonce,"
            " color: getComputedStyle(document.querySelector('h1')).color})"
        )
        return found, complaints(tab)


def complaints(tab: Tab) -> list[str]:
    """All but the icon that no recipe has."""
    return [one for one in tab.complaints if "favicon.ico" not in one]


def reports(sidecar: Sidecar) -> list[dict[str, Any]]:
    """The causes that browsers have named."""
    causes: list[dict[str, Any]] = sidecar.ask("/api/reports").json()["causes"]
    return causes


def test_enforced(browser: Chromium, serve: Serve, start: Start, section: str) -> None:
    """Script and style run by their nonce, a second load has another, and nothing is complained
    of.
    """
    sidecar = start(POLICY.replace("mode: report-only", "mode: enforce"), serve(section, False))
    (first, said), (second, also) = seen(browser, sidecar), seen(browser, sidecar)
    assert said == also == []
    assert (first["title"], first["color"]) == ("ran", "rgb(1, 2, 3)")
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", first["nonce"])
    assert second["title"] == "ran"
    assert first["nonce"] != second["nonce"]
    assert first["nonce"] not in json.dumps(sidecar.events())


def test_injected(browser: Chromium, serve: Serve, start: Start, section: str) -> None:
    """A script that was stored in the page knows no nonce: it runs without the policy and is
    blocked with it.
    """
    sidecar = start(POLICY, serve(section, True))
    assert seen(browser, sidecar)[0]["title"] == "injected"
    sidecar.save("mode: report-only", "mode: enforce")
    sidecar.event("policy.activated", who="file")
    found, said = seen(browser, sidecar)
    assert found["title"] == "ran"
    assert any("inline script" in one and "script-src" in one for one in said)


def test_rehearsed(serve: Serve, tmp_path: Path, section: str) -> None:
    """The release can be rehearsed: that pages differ by their nonces alone is no difference."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    asked = ("--policy", "policy.yaml", "--upstream", serve(section, False), "--path", "/")
    done = command("rehearse", *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("injected", [False, True])
@full
def test_tried(browser: Chromium, serve: Serve, start: Start, section: str, injected: bool) -> None:
    """In a trial browsers report the injected script alone, and the page runs as without a
    policy.
    """
    sidecar = start(POLICY.replace("mode: report-only", "mode: trial"), serve(section, injected))
    for _ in range(2):
        found, _said = seen(browser, sidecar)
        assert found["title"] == ("injected" if injected else "ran")
        assert found["nonce"]

    def returned() -> bool:
        (item,) = sidecar.ask("/api/evidence").json()["evidence"]
        return item["trial"]["canaries"]["chromium"] == [2, 2]

    until(returned, "both canaries came back")
    if injected:
        until(lambda: reports(sidecar), "the injected script is reported")
    assert [cause["blocked"] for cause in reports(sidecar)] == (["inline"] if injected else [])


@contextmanager
def revalidating(own: str) -> Iterator[tuple[str, list[int]]]:
    """A service whose page is the same for ever, with a policy of its own; its address, and what
    it replied.
    """
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonce = self.headers.get("X-CSP-Nonce", "")
            known = self.headers.get("If-None-Match") == '"a"'
            page = f"<title>before</title><script nonce={nonce}>document.title = 'ran'</script>"
            if self.path == "/":
                statuses.append(304 if known else 200)
            self.send_response(304 if known else 200)
            self.send_header("ETag", '"a"')
            self.send_header("Cache-Control", "no-cache")
            self.send_header("Content-Security-Policy", own)
            if not known:
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(b"" if known else page.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", statuses
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("own", ["default-src 'self'", "script-src 'nonce-YWJjZGVmZ2hpamtsbW5vcA'"])
@pytest.mark.parametrize("mode", ["trial", "enforce"])
@full
def test_revalidated(browser: Chromium, start: Start, own: str, mode: str) -> None:
    """A 304 leaves a stored page with the policy that its nonce belongs to, whatever the service
    says on it.
    """
    own = own if mode == "enforce" else "img-src *"
    with revalidating(own) as (origin, statuses):
        sidecar = start(POLICY.replace("mode: report-only", f"mode: {mode}"), origin)
        with browser.tab() as tab:
            for _ in range(3):
                tab.visit(f"http://127.0.0.1:{sidecar.listen[1]}/")
                assert tab.run("document.title") == "ran"
            assert not [one for one in tab.complaints if "script" in one]
        assert statuses == [200, 304, 304]
