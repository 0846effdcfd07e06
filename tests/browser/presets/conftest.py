"""Fixtures: the sites behind sidecars that enforce their framework's preset, over HTTPS, and a
browser that sees no other host.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import certificates
from tests.browser.chromium import Chromium, Tab
from tests.browser.presets.cdn import HOSTS, Cdn
from tests.e2e.processes import Child, until
from tests.e2e.running import Sidecar

SERVERS = {
    "fastapi": (
        "-m",
        "uvicorn",
        "--port",
        "0",
        "--no-access-log",
        "--proxy-headers",
        "tests.browser.presets.sites.fastapi_site:app",
    ),
    "flask": (
        "-m",
        "gunicorn",
        "-b",
        "127.0.0.1:0",
        "-c",
        "python:tests.services.gunicorn_conf",
        "tests.browser.presets.sites.flask_site:app",
    ),
    "django": (
        "-m",
        "gunicorn",
        "-b",
        "127.0.0.1:0",
        "-c",
        "python:tests.services.gunicorn_conf",
        "tests.browser.presets.sites.django_site:app",
    ),
}
TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`violation of ${event.effectiveDirective} by ${event.blockedURI} in ${event.documentURI}`));
"""  # noqa: E501
POLICY = """\
version: 1
name: {name}
mode: enforce
extends: [{name}-2026-11]
owner: web@example.com
expected: the site works as before
rollback: sidecar rollback
"""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate, which the browser is told to take, and its key."""
    return certificates.certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def sidecars(
    certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Sidecar]]:
    """The three sites, each behind its sidecar; all start at once."""
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        pytest.skip("chromium is not installed")
    folder = tmp_path_factory.mktemp("sites")
    children = {
        name: Child([sys.executable, *argv], folder / name) for name, argv in SERVERS.items()
    }
    started: dict[str, Sidecar] = {}
    try:
        for name, child in children.items():
            upstream = (
                f"http://127.0.0.1:{until(lambda child=child: _port(child), f'{name} listens')}"
            )
            tls = {"certificate": str(certificate[0]), "key": str(certificate[1])}
            started[name] = Sidecar(
                folder / f"{name}-sidecar",
                POLICY.format(name=name),
                upstream,
                settings={"tls": tls},
            ).start()
        yield started
        for sidecar in started.values():
            assert sidecar.stop() == 0
            assert sidecar.child.stderr.read_text() == ""
    finally:
        for child in (*(sidecar.child for sidecar in started.values()), *children.values()):
            child.ask_to_end()
        for child in children.values():
            child.end()


def _port(child: Child) -> int:
    said = child.stderr.read_text()
    assert child.returncode is None, said
    found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
    return int(found[1]) if found else 0


@pytest.fixture(scope="session")
def cdn(certificate: tuple[Path, Path]) -> Iterator[str]:
    """Where the documentation pages' assets are, as HOST:PORT."""
    if importlib.util.find_spec("drf_spectacular_sidecar") is None:
        pytest.skip("drf-spectacular-sidecar, which carries Swagger UI and ReDoc, is not installed")
    server = Cdn(*certificate)
    yield server.address
    server.close()


@pytest.fixture(scope="session")
def front(
    sidecars: dict[str, Sidecar], cdn: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chromium]:
    """A browser for which each site is https://NAME.test, and in which no other host can be
    reached.
    """
    hosts = {
        f"{name}.test": "{}:{}".format(*sidecar.listen) for name, sidecar in sidecars.items()
    } | dict.fromkeys(HOSTS, cdn)
    rules = ", ".join(
        [*(f"MAP {name} {address}" for name, address in hosts.items()), "MAP * ~NOTFOUND"]
    )
    chromium = Chromium(
        tmp_path_factory.mktemp("front"),
        "--ignore-certificate-errors",
        f"--host-resolver-rules={rules}",
    )
    yield chromium
    chromium.close()


@pytest.fixture
def tab(front: Chromium) -> Iterator[Tab]:
    """A tab of nobody in particular, to which each violation of a policy is told by the page
    itself too.
    """
    with front.tab() as opened:
        opened.send("Network.clearBrowserCookies")
        opened.send("Page.addScriptToEvaluateOnNewDocument", source=TELL_VIOLATIONS)
        yield opened
