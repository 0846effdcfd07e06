"""A small fleet as it is shipped: the sample service of the Compose example, three sidecars, a real
Prometheus with our rules.

Starting, asking, and a script that makes every metric move and every alert true for a moment.
"""

import json
import re
import socket
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import yaml

from tests.deploy.files import DEPLOY, ROOT, data, program, run
from tests.e2e import wire
from tests.e2e.processes import Child, until
from tests.e2e.running import Sidecar
from tests.fleet.server import Server
from tests.patience import PATIENCE

INTERVAL = 0.5
"""Seconds between two scrapes, and what one of them may take."""
CROSS_SITE = (
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Mode", "no-cors"),
    ("Sec-Fetch-Dest", "image"),
)
AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"
    " Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
PAGE_LOAD = (
    ("User-Agent", AGENT),
    ("Sec-Fetch-Site", "none"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
)
HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
"""RFC 6455 section 1.3: the example's key and its response."""

SHOP = (
    (ROOT / "config" / "policy.yaml")
    .read_text("utf-8")
    .replace(
        "\nrules:\n",
        "\nguard: {window: 60s, min-requests: 5}\nmax-body: 2KiB\nrules:\n  release: {header:"
        " X-Release, action: require}\n  tried: {header: Content-Security-Policy, action: append,"
        " value: \"object-src 'none'\", mode: trial}\n",
    )
)
BLOG = (
    "version: 1\nname: blog\nmode: enforce\nrules:\n  nosniff: {header: X-Content-Type-Options,"
    " action: set, value: nosniff, mode: report-only}\n"
)


class Prometheus:
    """The shipped configuration and rules, with quick intervals and the test's targets;
    `history` (OpenMetrics) is there already, `more` are further flags.
    """

    def __init__(
        self,
        folder: Path,
        targets: dict[str, list[wire.Address]],
        history: str = "",
        **more: str,
    ) -> None:
        config = data("deploy/prometheus/prometheus.yml")
        every = f"{INTERVAL * 1000:.0f}ms"
        config["global"] = {
            "scrape_interval": every,
            "evaluation_interval": every,
            "scrape_timeout": every,
        }
        config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
        (job,) = config["scrape_configs"]
        config["scrape_configs"] = [
            job
            | {
                "job_name": name,
                "static_configs": [{"targets": [f"{host}:{port}" for host, port in addresses]}],
            }
            for name, addresses in targets.items()
        ]
        folder.mkdir()
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
        if history:
            (folder / "history").write_text(history, "utf-8")
            run(
                program("promtool"),
                "tsdb",
                "create-blocks-from",
                "openmetrics",
                folder / "history",
                folder / "data",
            )
        flags = {
            "config.file": folder / "prometheus.yml",
            "storage.tsdb.path": folder / "data",
            "web.listen-address": "127.0.0.1:0",
        } | {name.replace("_", "-"): value for name, value in more.items()}
        self.child = Child(
            [program("prometheus"), *(f"--{name}={value}" for name, value in flags.items())], folder
        )
        listening = until(
            lambda: re.search(
                r'msg="Listening on" address=(\S+)', self.child.stderr.read_text("utf-8")
            ),
            "Prometheus listens",
        )
        host, _, port = listening[1].rpartition(":")
        self._address: wire.Address = host, int(port)
        self.url = f"http://{host}:{port}"
        until(lambda: wire.get(self._address, "/-/ready").status == 200, "Prometheus is ready")
        self.began = time.time()

    def ask(self, path: str, **words: object) -> Any:
        """The data of one response of the HTTP API."""
        data = wire.get(self._address, f"/api/v1/{path}?{urlencode(words)}").json()
        assert data["status"] == "success", data
        return data["data"]

    def value(self, query: str, at: float | None = None) -> float:
        """The sum of what a query gives, now or at a moment."""
        data = self.ask("query", query=query, **({} if at is None else {"time": at}))
        return sum(float(series["value"][1]) for series in data["result"])

    def ever(self, query: str) -> list[float]:
        """Every value that a query had, of any series, since the start; NaN left out."""
        data = self.ask(
            "query_range", query=query, start=self.began, end=time.time(), step=INTERVAL
        )
        values = (float(value) for series in data["result"] for _, value in series["values"])
        return [value for value in values if value == value]  # noqa: PLR0124 - NaN is not itself

    def sees(self, query: str) -> None:
        """Wait until a query has a result."""
        until(lambda: self.ask("query", query=query)["result"], f"Prometheus sees {query}")


class Rude:
    """A service that closes a kept connection instead of answering its second request, is slow
    at will, and opens tunnels.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            head = connection.recv(65536)
            if b"/slow" in head:
                self.gate.wait(PATIENCE)
            if b"/tunnel" in head:
                connection.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade:"
                    b" websocket\r\n" + ACCEPT
                )
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.recv(65536)

    def close(self) -> None:
        """Let everybody go."""
        self.gate.set()
        self._listener.close()


class Fleet:
    """The running fleet; `play` is its story."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.service = self._start_service()
        self.rude = Rude()
        stack.callback(self.rude.close)
        shop = {"log": {"events_per_second": 1}, "reports": {"enabled": True}}
        self.first = self._start("first", SHOP, self._url, shop)
        self.baseline = folder / "baseline.yaml"
        self.baseline.write_text(
            json.dumps({"version": 1, "made": "", "by": "", "source": "", "cells": []}), "utf-8"
        )
        self.second = self._start(
            "second",
            SHOP.replace("ladder: [5m, 1d", "ladder: [9m, 1d"),
            self._url,
            {"baseline": str(self.baseline)},
        )
        program("redis-server")
        self.store = Server(folder / "redis")
        stack.callback(self.store.close)
        decided = {"fleet": {"url": self.store.url, "name": "blog"}}
        self.blog = self._start(
            "blog", BLOG, self.rude.url, {"limits": {"connections": 4}} | decided
        )
        self.prometheus = Prometheus(
            folder / "prometheus",
            {"shop": [self.first.health, self.second.health], "blog": [self.blog.health]},
        )
        stack.callback(lambda: (self.prometheus.child.ask_to_end(), self.prometheus.child.end()))
        self.prometheus.sees("count(up == 1) == 3")

    def play(self) -> Self:
        """The script: each step waits until Prometheus has seen it, so that no change falls
        between two scrapes.
        """
        self._release()
        self._drift()
        self._refusals()
        self._blog()
        self._outage()
        end = time.time()
        self.prometheus.sees(f"count(timestamp(up) > {end + 1}) == 3")
        return self

    def _start_service(self) -> Child:
        folder = DEPLOY / "compose" / "service"
        child = Child(
            [
                sys.executable,
                "-B",
                "-m",
                "uvicorn",
                "--app-dir",
                str(folder),
                "--port",
                "0",
                "--no-access-log",
                "app:app",
            ],
            self._folder / "service",
        )
        self._stack.callback(lambda: (child.ask_to_end(), child.end()))
        data = until(
            lambda: re.search(
                r"running on (http://127\.0\.0\.1:\d+)", child.stderr.read_text("utf-8")
            ),
            "the service listens",
        )
        self._url = data[1]
        return child

    def _start(self, name: str, policy: str, upstream: str, settings: dict[str, Any]) -> Sidecar:
        sidecar = Sidecar(self._folder / name, policy, upstream, settings=settings)
        self._stack.callback(sidecar.stop)
        return sidecar.start()

    def _release(self) -> None:
        """Report-only, then enforce; browsers and the service suffer; the guard takes it back.
        The other one follows by hand.
        """
        first, sees = self.first, self.prometheus.sees
        for path in ("/", "/api/items", "/old", "/nowhere", "/api/items"):
            first.get(path, *CROSS_SITE)
        for directive in ("script-src", "made-up"):
            report = json.dumps(
                {"csp-report": {"effective-directive": directive, "disposition": "report"}}
            ).encode()
            data = wire.ask(
                first.listen,
                wire.request(
                    "POST",
                    "/.well-known/sidecar/reports",
                    [("Content-Type", "application/csp-report")],
                    report,
                ),
            )
            assert data.status == 204
        assert wire.ask(
            first.listen,
            wire.request("POST", "/api/items", [("Content-Type", "text/plain")], b"x" * 4000),
        ).status
        sees('sidecar_would_reject_requests_total{job="shop"} > 0')
        sees('sidecar_violations_total{job="shop", rule="release", mode="report-only"} > 0')
        first.save("mode: report-only", "mode: enforce")
        sees(
            'sidecar_violations_total{rule="release", mode="enforce"} == 0 and on (instance)'
            " sidecar_guard_watching == 1"
        )
        for path in ("/", "/api/items", "/old"):
            first.get(path, *CROSS_SITE)
        sees("sidecar_header_changes_total > 0")
        self._trial()
        self._dead_channel()
        for _ in range(10):
            first.get("/broken")
        first.event("guard.fired")
        sees("sidecar_guard_fired_total > 0")
        self.second.save("mode: report-only", "mode: enforce")
        sees('count(sidecar_mode{job="shop", mode="enforce"} == 1) == 1')
        assert self.second.verb("rollback", "--reason", "as agreed").returncode == 0

    def _trial(self) -> None:
        """A page load in trial, with a canary; both report, as a browser would."""
        self.prometheus.sees('sidecar_trial_page_loads_total{rule="tried"} == 0')
        page = self.first.get("/", *PAGE_LOAD)
        lines = page.values("Content-Security-Policy-Report-Only")
        targets = [found[1] for line in lines if (found := re.search(r"report-uri (\S+)", line))]
        body = {
            "effective-directive": "object-src",
            "blocked-uri": "https://a.test/x",
            "document-uri": "http://127.0.0.1/",
            "disposition": "report",
        }
        assert len(targets) == 2, lines
        for target in targets:
            headers = [("Content-Type", "application/csp-report"), ("User-Agent", AGENT)]
            assert (
                wire.ask(
                    self.first.listen,
                    wire.request(
                        "POST", target, headers, json.dumps({"csp-report": body}).encode()
                    ),
                ).status
                == 204
            )
        self.prometheus.sees(
            "sidecar_trial_page_loads_total > 0 and on (instance)"
            " sidecar_canaries_returned_total > 0"
        )

    def _dead_channel(self) -> None:
        """Page loads of another engine, each with a canary, and no report comes back."""
        for _ in range(12):
            self.first.get("/", *PAGE_LOAD[1:], ("User-Agent", FIREFOX))
        self.prometheus.sees('sidecar_canaries_sent_total{engine="firefox"} == 12')

    def _drift(self) -> None:
        """A baseline that knows a header which the service does not send any more; asking for it
        makes the comparison now.
        """
        second = self.second
        second.get("/")
        tally = second.ask("/api/baseline").json()["tally"]
        for cell in tally["cells"]:
            cell["headers"]["X-Frame-Options"] = "DENY"
        self.prometheus.sees("sidecar_drift_total == 0")
        self.baseline.write_text(json.dumps(tally), "utf-8")
        second.get("/")
        assert second.ask("/api/baseline").json()["drift"]["findings"]
        self.prometheus.sees('sidecar_drift_total{kind="lost"} > 0')

    def _refusals(self) -> None:
        """A broken file, then the one that is held back, then the one in force."""
        first, sees = self.first, self.prometheus.sees
        good = first.policy.read_text("utf-8")
        for text, result in (
            ("mode: enforced", "rejected"),
            (good, "pinned"),
            (good.replace("mode: enforce", "mode: report-only"), "unchanged"),
        ):
            first.write(text)
            sees(f'sidecar_config_reloads_total{{job="shop", result="{result}"}} > 0')
            if result == "rejected":
                sees('ALERTS{alertname="SidecarPolicyNotReloaded"}')

    def _blog(self) -> None:
        """Enforcing nothing; then all that can go wrong on connections; then switched off."""
        blog, sees = self.blog, self.prometheus.sees
        with ExitStack() as open_lines:
            lines = [open_lines.enter_context(wire.Line(blog.listen)) for _ in range(3)]
            assert [lines[0].exchange(wire.request("GET", "/")).status for _ in range(3)] == [
                200,
                200,
                200,
            ]
            sees("sidecar_upstream_retries_total > 0")
            lines[1].send(wire.request("GET", "/slow"))
            lines[2].send(wire.request("GET", "/tunnel", HANDSHAKE))
            sees(
                'sidecar_requests_in_flight{job="blog"} > 0 and sidecar_tunnels_open > 0 and'
                " sidecar_connections_open > 2"
            )
            crowd = [open_lines.enter_context(wire.Line(blog.listen)) for _ in range(3)]
            assert not crowd[-1].begins()
        sees('sidecar_rejected_requests_total{reason="connections"} > 0')
        self.rude.gate.set()
        sees("sidecar_client_aborts_total > 0")
        sees("sidecar_fleet_connected == 1")
        self.store.kill()
        sees("sidecar_fleet_connected == 0")
        assert blog.verb("mode", "off", "--reason", "for the test").returncode == 0
        sees('sidecar_mode{job="blog", mode="off"} == 1')

    def _outage(self) -> None:
        """The service goes away."""
        self.service.ask_to_end()
        assert self.service.end() in (0, -15)
        assert [self.first.get("/").status for _ in range(5)] == [502] * 5
        self.prometheus.sees('sidecar_upstream_errors_total{reason="refused"} > 0')
