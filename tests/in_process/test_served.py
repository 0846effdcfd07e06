"""The sidecar inside FastAPI, Starlette, Flask and Django, on uvicorn and gunicorn: policy,
orders, metrics, reports.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from sidecar import asgi
from sidecar.policy.terms import PolicyError
from tests.cli import data, sidecar
from tests.e2e import wire
from tests.e2e.processes import Child, free_port, until
from tests.patience import PATIENCE
from tests.portion import by_default
from tests.services import samples

POLICY = """\
version: 1
name: shop
mode: enforce
guard: off
rules:
  nosniff: {header: X-Content-Type-Options, action: set, value: nosniff}
  csp:
    header: Content-Security-Policy
    action: default
    value: "script-src 'nonce-{request}'; object-src 'none'"
  frames: {header: X-Frame-Options, action: default, value: DENY, mode: report-only}
routes:
  - name: uploads
    match: {path: /upload, method: POST}
    max_body: 10
"""
UVICORN = ("-m", "uvicorn", "--no-access-log", "--no-server-header", "--factory", "--port", "PORT")
GUNICORN = ("-m", "gunicorn", "-c", "python:tests.services.gunicorn_conf", "-b", "127.0.0.1:PORT")
SERVERS = {
    "fastapi": (*UVICORN, "tests.in_process.served:fastapi"),
    "starlette": (*UVICORN, "tests.in_process.served:starlette"),
    "flask": (*GUNICORN, "tests.in_process.served:flask()"),
    "django": (*GUNICORN, "tests.in_process.served:django()"),
    "django-asgi": (*UVICORN, "tests.in_process.served:django_asgi"),
    "bare-asgi": (*UVICORN, "tests.in_process.served:bare_asgi"),
    "bare-wsgi": (*GUNICORN, "tests.in_process.served:bare_wsgi()"),
}


class Site:
    """One server in a process of its own."""

    def __init__(self, name: str, folder: Path, *more: str) -> None:
        self.name, self.policy = name, folder / "policy.yaml"
        self.policy.write_text(POLICY)
        env = {
            "SIDECAR_POLICY": str(self.policy),
            "SIDECAR_STATE": str(folder / "state"),
            "SIDECAR_ADMIN": "127.0.0.1:0",
            "SIDECAR_HEALTH": "127.0.0.1:0",
            "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # the sample makes its tables when it is imported
        }
        port = free_port()  # Django's logging silences the line in which uvicorn names its own
        argv = (word.replace("PORT", str(port)) for word in (*SERVERS[name], *more))
        self.child = Child([sys.executable, *argv], folder / "run", env=env)
        self.address: wire.Address = ("127.0.0.1", port)
        try:
            until(self._accepts, f"{name} listens")
        except BaseException:
            self.end()
            raise

    def _accepts(self) -> bool:
        assert self.child.returncode is None, self.child.stderr.read_text()
        with contextlib.suppress(OSError), socket.create_connection(self.address, 1):
            return True
        return False

    def events(self, name: str) -> list[dict[str, Any]]:
        """What stdout holds of this kind; the server's own lines are left out."""
        lines = self.child.stdout.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [one for one in found if one["event"] == name]

    def started(self) -> dict[str, Any]:
        """Where admin and health listen."""
        self.get("/")
        return until(lambda: self.events("service.started"), "it has started")[0]

    def get(self, path: str, *headers: tuple[str, str]) -> wire.Response:
        """One request."""
        return wire.get(self.address, path, ("Host", "shop.example"), *headers)

    def end(self) -> None:
        """TERM, and wait."""
        self.child.ask_to_end()
        self.child.end(20)


FRAMEWORKS = by_default(
    ["fastapi", "starlette", "flask", "django", "django-asgi"],
    lambda name: name in ("fastapi", "flask"),
)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Each framework on its server."""
    made = Site(request.param, tmp_path_factory.mktemp(request.param))
    yield made
    made.end()


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/broken", 500), ("/missing", 404)])
def test_pages_and_error_pages_carry_the_policy(site: Site, path: str, status: int):
    """Once each; rules in report-only change nothing."""
    response = site.get(path)

    assert response.status == status
    assert response.values("X-Content-Type-Options") == ["nosniff"]
    assert len(response.values("Content-Security-Policy")) == 1


def test_the_service_is_given_the_nonce(site: Site):
    """The nonce that the application reads is the one in the policy; a client's own never
    reaches it.
    """
    response = site.get("/", ("X-Echo", "1"), ("X-CSP-Nonce", "mine"))

    given = {name.lower(): value for name, value in response.json()["headers"]}["x-csp-nonce"]
    assert f"'nonce-{given}'" in (response.value("Content-Security-Policy") or "")
    assert given != "mine"


def test_orders_and_metrics(site: Site):
    """The verbs reach it: a mode, evidence, a rollback; the metrics have counted."""
    started = site.started()
    admin = f"http://{started['admin']}"

    assert sidecar("mode", "report-only", "--admin", admin).exit_code == 0
    assert not site.get("/").values("Content-Security-Policy")
    assert sidecar("mode", "enforce", "--admin", admin).exit_code == 0
    assert site.get("/").values("Content-Security-Policy")

    found = data(sidecar("evidence", "--admin", admin, "--json"))
    assert "frames" in str(found)
    host, _, port = str(started["health"]).rpartition(":")

    def served() -> float:
        text = wire.get((host, int(port)), "/metrics").body.decode()
        assert "sidecar_request_duration_seconds_count" in text
        line = (
            r'sidecar_responses_total\{origin="upstream",route="default",status_class="2xx"\} (.+)'
        )
        found = re.search(line, text)
        assert found
        return float(found[1])

    before = served()
    site.get("/")
    assert served() == before + 1


def test_a_saved_policy_is_in_force_soon(site: Site):
    """Without a restart; a mistake leaves the last good one."""
    site.policy.write_text(POLICY.replace("value: nosniff", "value: changed"))
    until(lambda: site.get("/").values("X-Content-Type-Options") == ["changed"], "it is in force")
    site.policy.write_text("version: 1\nrules: {")
    until(lambda: site.events("policy.rejected"), "it is refused")
    assert site.get("/").values("X-Content-Type-Options") == ["changed"]
    site.policy.write_text(POLICY)
    until(lambda: site.get("/").values("X-Content-Type-Options") == ["nosniff"], "it is back")


def test_browser_reports_are_taken_while_a_rule_is_in_trial(site: Site):
    """The header names an address of the service's own; a post there is counted and never reaches
    the service.
    """
    trial = POLICY.replace("'nonce-{request}'", "'self'").replace(
        "object-src 'none'\"", "object-src 'none'\"\n    mode: trial"
    )
    site.policy.write_text(trial)
    header = "Content-Security-Policy-Report-Only"
    browser = ("User-Agent", "Mozilla/5.0 Chrome/140.0"), ("Sec-Fetch-Dest", "document")
    until(lambda: site.get("/", *browser).values(header), "the trial is in force")
    path = re.search(r"report-uri (\S+)", site.get("/", *browser).values(header)[0])
    assert path is not None
    body = json.dumps(
        {
            "csp-report": {
                "document-uri": "https://shop.example/",
                "violated-directive": "script-src",
                "effective-directive": "script-src",
                "blocked-uri": "https://cdn.example/x.js",
                "disposition": "report",
            }
        }
    ).encode()

    def post(media: str) -> wire.Response:
        lines = [("Host", "shop.example"), ("Content-Type", media)]
        return wire.ask(site.address, wire.request("POST", path[1], lines, body))

    assert post("application/csp-report").status == 204
    assert post("text/plain").status == 415
    assert site.get(path[1]).status == 405
    until(lambda: site.events("browser.report"), "it is reported")
    site.policy.write_text(POLICY)
    until(lambda: not site.get("/", *browser).values(header), "the trial is over")


def test_bodies_beyond_the_bound_are_refused(site: Site):
    """Where their length is named, before the service sees them; the refusal carries the policy."""
    lines = [("Host", "shop.example"), ("Content-Type", "text/plain")]
    response = wire.ask(site.address, wire.request("POST", "/upload", lines, b"x" * 11))

    assert response.status == 413
    assert response.values("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize("name", by_default(["bare-asgi", "bare-wsgi"], "bare-asgi".__eq__))
def test_an_application_that_fails_gets_an_error_response_with_the_policy(
    name: str, tmp_path: Path
):
    """And the server's log has the traceback."""
    site = Site(name, tmp_path)
    try:
        response = site.get("/")
        assert (response.status, response.values("X-Content-Type-Options")) == (500, ["nosniff"])
        until(lambda: "nobody catches it" in site.child.stderr.read_text(), "it is logged")
    finally:
        site.end()


def test_worker_processes_are_a_sidecar_each(tmp_path: Path):
    """The first has the state folder, the second one below it; both apply the policy and follow
    the file.
    """
    site = Site("flask", tmp_path, "--workers", "2", "--threads", "1")
    try:

        def served_by() -> set[object]:
            assert site.get("/").values("X-Content-Type-Options") == ["nosniff"]
            return {one["health"] for one in site.events("service.started")}

        until(lambda: len(served_by()) == 2, "both have served")
        assert (tmp_path / "state/process-2/revisions").is_dir()
        site.policy.write_text(POLICY.replace("value: nosniff", "value: changed"))
        until(lambda: len(site.events("policy.activated")) >= 4, "both have it")
    finally:
        site.end()


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_policy_that_cannot_be_used_is_refused_where_the_middleware_is_made(
    kind: str, tmp_path: Path
):
    """With the place, as by `sidecar run`."""
    from importlib import import_module

    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\nrules: {a: {header: X-A, action: sett}}\n")
    with pytest.raises(PolicyError, match=r"policy\.yaml:2"):
        import_module(f"sidecar.{kind}").Middleware(lambda *_: None, file)
    with pytest.raises(PolicyError, match="cannot be read"):
        import_module(f"sidecar.{kind}").Middleware(lambda *_: None, tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"admin": "x"}, "admin=: error: unknown address 'x'; write HOST:PORT"),
        ({"config": "none.yaml"}, "name another file with config="),
        ({"admin": "BUSY"}, "another with admin=HOST:PORT"),
        (
            {"events": "/dev/null/x"},
            "/dev/null/x: error: events cannot be written: Not a dir",
        ),
        ({"state": "/dev/null/x"}, "choose another: state=DIR"),
    ],
)
def test_a_refusal_names_the_argument(words: dict[str, str], said: str, tmp_path: Path):
    """And not the flag of `sidecar run`; a file or an address that cannot be used has its fix."""
    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\nrules: {}\n")
    free = {"admin": "127.0.0.1:0", "health": "127.0.0.1:0", "state": str(tmp_path / "state")}
    with socket.create_server(("127.0.0.1", 0)) as busy, pytest.raises(PolicyError) as refused:
        taken = f"127.0.0.1:{busy.getsockname()[1]}"
        arguments: dict[str, Any] = free | {
            name: word.replace("BUSY", taken) for name, word in words.items()
        }
        asgi.Middleware(lambda *_: None, file, **arguments).host.start()
    assert said in str(refused.value)


@pytest.mark.parametrize("site", ["fastapi", "flask"], indirect=True)
def test_streams_and_sockets_pass_as_they_come(site: Site):
    """The first event arrives before the last is sent, and the request counts as in flight so
    long; a WebSocket passes.
    """
    health = str(site.started()["health"]).rpartition(":")

    def in_flight(number: int) -> bool:
        text = wire.get((health[0], int(health[2])), "/metrics").body.decode()
        return f"\nsidecar_requests_in_flight {number}" in text

    with wire.Line(site.address) as line:
        line.send(wire.request("GET", "/events/one"))
        assert b"nosniff" in b"".join(line.head())
        assert line.chunk() == samples.EVENTS[0].encode()
        until(lambda: in_flight(1), "it is in flight")
        opened = wire.ask(site.address, wire.request("POST", "/open/one", body=b""))
        assert opened.status == 204
        assert line.chunk() == samples.EVENTS[1].encode()
    until(lambda: in_flight(0), "it is over")
    if site.name == "fastapi":
        with connect(f"ws://127.0.0.1:{site.address[1]}/ws", proxy=None) as socket:
            socket.send("hello")
            assert socket.recv() == "hello"


ENDING = """\
import sys
from sidecar.wsgi import Middleware
app = Middleware(lambda environ, start: [], "policy.yaml", events="events.jsonl", **HERE)
app.host.start()
"""


def test_a_process_that_ends_keeps_the_evidence(tmp_path: Path):
    """Python joins threads of executors before it calls what `atexit` holds, and one of them waits
    for the policy file: a gunicorn worker was killed after its graceful timeout.
    """
    (tmp_path / "policy.yaml").write_text("version: 1\nrules: {}\n")
    here = {"admin": "127.0.0.1:0", "health": "127.0.0.1:0"}
    program = ENDING.replace("**HERE", f"**{here!r}")
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=PATIENCE)

    assert (tmp_path / "state" / "evidence.json").exists()
    assert "service.stopped" in (tmp_path / "events.jsonl").read_text()
