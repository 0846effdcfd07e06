"""OWASP's validator, rule by rule, against the preset in front of the demo's sample service,
over sockets.
"""

# ruff: noqa: SIM905 - lists of words are read as words

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest_asyncio
from aiohttp import web

from sidecar import sample
from sidecar.runtime.service import Service
from sidecar.runtime.settings_file import layered
from sidecar.telemetry.events import QueuedOutput
from tests.patience import PATIENCE

POLICY = "version: 1\nmode: enforce\nextends: [oshp-2026-07]\n"

ALLOWED: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (
        "max-age=63072000; includeSubDomains",
        "max-age=63072000; includeSubDomains; preload",
    ),
    "X-Frame-Options": ("deny", "DENY"),
    "X-Content-Type-Options": ("nosniff",),
    "X-Permitted-Cross-Domain-Policies": ("none",),
    "Referrer-Policy": ("no-referrer",),
    "Cross-Origin-Embedder-Policy": ("require-corp",),
    "Cross-Origin-Opener-Policy": ("same-origin",),
    "Cross-Origin-Resource-Policy": ("same-origin",),
    "Cache-Control": ("no-store, max-age=0",),
    "X-DNS-Prefetch-Control": ("off",),
}
"""Header -> the values that the validator takes, of which one must be sent."""
OFF = (
    "accelerometer autoplay camera clipboard-read clipboard-write cross-origin-isolated"
    " display-capture encrypted-media fullscreen gamepad geolocation gyroscope hid idle-detection"
    " interest-cohort keyboard-map magnetometer microphone midi payment picture-in-picture"
    " publickey-credentials-get screen-wake-lock serial unload usb web-share xr-spatial-tracking"
).split()
"""Features that Permissions-Policy must switch off."""
ABSENT = ("Feature-Policy", "Public-Key-Pins", "Expect-CT", "X-XSS-Protection")
PATHS = {"/": 200, "/api/items": 200, "/old": 302, "/broken": 500, "/nowhere": 404, "/logout": 200}


class Front:
    """The sidecar's address, and what it sends."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def get(self, path: str, proto: str = "https") -> tuple[int, dict[str, list[str]]]:
        """Status and headers of one GET, as a TLS terminator in front would send it."""
        return await asyncio.to_thread(self._get, path, proto)

    def _get(self, path: str, proto: str) -> tuple[int, dict[str, list[str]]]:
        host, _, port = self.service.listen[0].rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"X-Forwarded-Proto": proto})
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        lines: dict[str, list[str]] = {}
        for name, value in response.getheaders():
            lines.setdefault(name.lower(), []).append(value)
        return response.status, lines


@pytest_asyncio.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    """The sample service, with a logout page, behind a sidecar that enforces the preset alone."""

    async def logout(_request: web.Request) -> web.Response:
        return web.Response(text="<p>Good bye</p>", content_type="text/html")

    app = sample.service("http://cdn.invalid")
    app.router.add_get("/logout", logout)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    data = {
        "upstream": f"http://127.0.0.1:{runner.addresses[0][1]}",
        "policy": str(policy),
        "state": str(tmp_path / "state"),
        **dict.fromkeys(("listen", "admin", "health"), "127.0.0.1:0"),
        "forwarding": {"trusted": ["127.0.0.0/8"]},
        "timeouts": {"drain": "1s"},
    }
    with (tmp_path / "events.jsonl").open("wb") as file:
        sink = QueuedOutput(file.fileno())
        service = Service(layered(data, {}, {}), sink)
        try:
            await service.start()
            yield Front(service)
            await service.drain()
        finally:
            await service.close()
            await runner.cleanup()
            sink.close()


async def test_every_rule_of_the_validator_passes(front: Front):
    """Equality with the values, features off, nothing unsafe in the CSP, what is out of use
    absent: each header once, on every path and status.
    """
    for path, status in PATHS.items():
        got, lines = await front.get(path)

        assert got == status
        for name, allowed in ALLOWED.items():
            assert len(lines[name.lower()]) == 1
            assert lines[name.lower()][0] in allowed
        (csp,) = lines["content-security-policy"]
        assert "unsafe" not in csp
        (features,) = lines["permissions-policy"]
        assert [feature for feature in OFF if f"{feature}=()" not in features] == []
        assert "sync-xhr=(self)" in features or "sync-xhr=()" in features
        assert [name for name in ABSENT if name.lower() in lines] == []
        assert not {"server", "x-powered-by"} & lines.keys()
        assert lines.get("clear-site-data") == (
            ['"cache","cookies","storage"'] if path == "/logout" else None
        )


async def test_over_plain_http_all_passes_but_hsts(front: Front):
    """Which must not be sent there."""
    _, lines = await front.get("/", "http")

    assert "strict-transport-security" not in lines
    assert all(
        lines[name.lower()][0] in allowed
        for name, allowed in ALLOWED.items()
        if name != "Strict-Transport-Security"
    )
