"""What a running proxy or application sends becomes a policy, and the sidecar with it in front
of the bare service sends the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from sidecar.cli.importing import import_verb
from sidecar.observed import ObservedResponse
from sidecar.observed.client import ask
from tests.e2e.processes import Child, free_port, until
from tests.e2e.running import Sidecar
from tests.importing.origin import origin
from tests.importing.servers import installed, server

HTTPS = {"X-Forwarded-Proto": "https"}
NGINX = """
map $sent_http_content_type $csp { default ""; ~^text/html "default-src 'self'"; }
server {
    listen 127.0.0.1:@PORT@;
    add_header X-Frame-Options DENY always;
    add_header X-Content-Type-Options nosniff;
    add_header Strict-Transport-Security "max-age=86400" always;
    add_header Content-Security-Policy $csp always;
    proxy_hide_header X-Powered-By;
    proxy_cookie_flags session secure httponly samesite=lax;
    location / { proxy_pass http://127.0.0.1:@SERVICE@; }
    location /api/ {
        add_header Cache-Control no-store always;
        proxy_pass http://127.0.0.1:@SERVICE@;
    }
}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend site
    bind 127.0.0.1:@PORT@
    http-response del-header X-Powered-By
    http-response set-header X-Frame-Options SAMEORIGIN
    http-response set-header Referrer-Policy no-referrer if { status 200:399 }
    http-response add-header Content-Security-Policy "default-src 'none'" if { res.hdr(content-type) -m beg application/json }
    http-response replace-header Set-Cookie "(session=.*)" "\\\\1; Secure; HttpOnly"
    acl admin var(txn.path) -m beg /admin
    http-request set-var(txn.path) path
    http-response set-header X-Frame-Options DENY if admin
    default_backend service
backend service
    server service 127.0.0.1:@SERVICE@
"""  # noqa: E501
TARGETS = (
    "/?response=page",
    "/shop/cart?response=page",
    "/api/users?response=data",
    "/api/users/7?response=missing",
    "/admin/users?response=page",
    "/site.css?response=style",
    "/old?response=moved",
    "/broken?response=broken",
)


@dataclass(frozen=True)
class Front:
    """An old proxy or application, the bare service behind it, and the targets at which both are
    asked.
    """

    old: str
    bare: str
    targets: tuple[str, ...]


@contextlib.contextmanager
def _nginx(folder: Path) -> Iterator[Front]:
    with origin() as service:
        port = free_port()
        text = NGINX.replace("@PORT@", str(port)).replace("@SERVICE@", str(service))
        with server("nginx", folder, text, port):
            yield Front(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{service}", TARGETS)


@contextlib.contextmanager
def _haproxy(folder: Path) -> Iterator[Front]:
    with origin() as service:
        port = free_port()
        config = folder / "haproxy.cfg"
        config.write_text(HAPROXY.replace("@PORT@", str(port)).replace("@SERVICE@", str(service)))
        with _running(["haproxy", "-db", "-f", str(config)], folder, port) as address:
            yield Front(address, f"http://127.0.0.1:{service}", TARGETS)


@contextlib.contextmanager
def _express(folder: Path) -> Iterator[Front]:
    """The application with helmet is the old one; without it, it is the bare service."""
    script, old, bare = str(Path(__file__).parent / "app.js"), free_port(), free_port()
    targets = ("/", "/about", "/embed/video", "/api/users", "/site.css", "/old")
    with (
        _running(["node", script, str(old)], folder / "old", old, HELMET="1") as front,
        _running(["node", script, str(bare)], folder / "bare", bare) as service,
    ):
        yield Front(front, service, targets)


@contextlib.contextmanager
def _running(argv: list[str], folder: Path, port: int, **environ: str) -> Iterator[str]:
    path = f"{os.environ['PATH']}:/usr/sbin"
    argv = [shutil.which(argv[0], path=path) or argv[0], *argv[1:]]
    child = Child(argv, folder, env=environ)
    try:
        until(lambda: _accepts(port, child), f"{argv[0]} accepts")
        yield f"http://127.0.0.1:{port}"
    finally:
        child.ask_to_end()
        child.end()


def _accepts(port: int, child: Child) -> bool:
    assert child.returncode is None, child.stderr.read_text()
    try:
        return ask(f"http://127.0.0.1:{port}/?response=page").status > 0
    except ValueError:
        return False


FRONTS = {"nginx": _nginx, "haproxy": _haproxy, "express": _express}


def _there(name: str) -> bool:
    if name == "nginx":
        return installed("nginx")
    path = f"{os.environ['PATH']}:/usr/sbin"
    program = shutil.which({"express": "node"}.get(name, name), path=path)
    if name == "express" and program:
        script = "require('express'); require('helmet')"
        return subprocess.run([program, "-e", script], capture_output=True).returncode == 0
    return program is not None


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    """Each of the fronts, running."""
    if not _there(request.param):
        pytest.skip(f"{request.param} is not installed")
    with FRONTS[request.param](tmp_path) as running:
        yield running


def _headers(response: ObservedResponse) -> dict[str, tuple[str, ...]]:
    """The header lines without those of the message, the clock and the names of software;
    cookies without their values.
    """
    aside = {
        "date",
        "connection",
        "keep-alive",
        "content-length",
        "transfer-encoding",
        "etag",
        "server",
        "accept-ranges",
    }
    names = {name.decode().lower() for name, _ in response.fields} - aside
    found = {name: response.values(name) for name in sorted(names)}
    found["set-cookie"] = tuple(
        "; ".join(sorted(part.strip().lower() for part in line.split(";")))
        for line in found.get("set-cookie", ())
    )
    return found


def test_the_sidecar_sends_what_the_old_proxy_sent(front: Front, tmp_path: Path) -> None:
    """For every target the enforced policy in front of the bare service gives the old proxy's
    headers, and nothing is lost.
    """
    urls = [front.old + target for target in front.targets]
    made = CliRunner().invoke(import_verb, [*urls, "--service", front.bare, "--strict"])
    assert made.exit_code == 0, made.stderr
    policy = made.stdout.replace("mode: report-only", "mode: enforce", 1)
    settings = {"forwarding": {"trusted": ["127.0.0.1"]}}
    sidecar = Sidecar(tmp_path / "sidecar", policy, front.bare, settings=settings).start()
    try:
        listen = f"http://{sidecar.listen[0]}:{sidecar.listen[1]}"
        for target in front.targets:
            old, new = (ask(base + target, headers=HTTPS) for base in (front.old, listen))
            assert old.status == new.status
            assert _headers(new) == _headers(old), (target, made.stdout)
    finally:
        sidecar.stop()
