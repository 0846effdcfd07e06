"""Spans of a running sidecar, as a collector gets them: OTLP over HTTP, read by OpenTelemetry's
own messages.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e import wire
from tests.e2e.conftest import ENFORCED, Start
from tests.e2e.processes import Service
from tests.e2e.running import Sidecar
from tests.portion import by_default

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """Takes what is exported; `spans` holds all of it."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """For the settings."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector of its own."""
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def asked(sidecar: Sidecar, *traceparents: str) -> None:
    """One request for each; "" = without a trace. Then the sidecar ends, so that all spans are
    sent.
    """
    for one in traceparents:
        headers = [("Host", "shop.example"), *([("traceparent", one)] if one else [])]
        response = wire.ask(sidecar.listen, wire.request("GET", "/?secret=1", headers))
        assert response.status == 200
    assert sidecar.stop() == 0


@pytest.mark.parametrize("workers", by_default([1, 2], (2).__eq__))
def test_a_request_is_a_span_below_its_clients(
    shop: Service, start: Start, collector: Collector, workers: int
):
    """Trace and parent are the client's; name, kind, times and attributes say what was done, and
    no query.
    """
    sidecar = start(
        ENFORCED, shop.url, traces={"endpoint": collector.url, "share": "100%"}, workers=workers
    )
    asked(sidecar, f"00-{TRACE}-{PARENT}-01")

    (span,) = collector.spans
    reported = {one.key: one.value for one in span.attributes}
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (span.name, span.kind) == ("GET default", 2)
    assert span.start_time_unix_nano < span.end_time_unix_nano
    assert reported["http.response.status_code"].int_value == 200
    assert reported["url.path"].string_value == "/"
    assert reported["sidecar.changed"].bool_value
    assert "nosniff" in [one.string_value for one in reported["sidecar.rules"].array_value.values]
    assert "secret" not in str(span)


@pytest.mark.parametrize(
    ("share", "trusted", "flags", "count"),
    by_default(
        [
            ("0%", [], "01", 0),
            ("0%", ["127.0.0.0/8"], "01", 1),
            ("100%", ["127.0.0.0/8"], "00", 0),
            ("100%", [], "00", 1),
        ],
        lambda case: case[0] == "0%",
    ),
)
def test_whose_sampling_holds(
    shop: Service,
    start: Start,
    collector: Collector,
    share: str,
    trusted: list[str],
    flags: str,
    count: int,
):
    """A trusted proxy decides for its traces; of all others the share, whatever a client asks
    for.
    """
    sidecar = start(
        ENFORCED,
        shop.url,
        traces={"endpoint": collector.url, "share": share},
        forwarding={"trusted": trusted},
    )
    asked(sidecar, f"00-{TRACE}-{PARENT}-{flags}")

    assert len(collector.spans) == count


def test_a_collector_that_is_away_holds_up_nothing(shop: Service, start: Start):
    """Responses come, and the process ends in order."""
    sidecar = start(
        ENFORCED, shop.url, traces={"endpoint": "http://127.0.0.1:9/v1/traces", "share": "100%"}
    )
    asked(sidecar, "", "")
