"""HTTP facts by OpenTelemetry's names, the trace of a request, and spans of requests, where the
settings name a collector (extra `otel`).

The proxy passes `traceparent` on untouched, so our span and the service's have the same parent. The
libraries are loaded by the first `Spans`. Source: OpenTelemetry semantic conventions for HTTP
spans; W3C Trace Context, Recommendation of 2021-11-23.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sidecar import __version__
from sidecar.policy.engine.judge import PreparedDecision
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.terms import PolicyError, Problem
from sidecar.settings import Traces

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span


_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


def http_facts(facts: Facts, *, path: int = 512, host: int = 256) -> dict[str, Any]:
    """A request and its response; at most `path` and `host` characters of each."""
    return {
        "http.request.method": facts.method,
        "http.response.status_code": facts.status,
        "url.scheme": facts.scheme,
        "url.path": facts.path[:path],
        "server.address": facts.host[:host],
    }


def server_facts(url: str) -> dict[str, Any]:
    """The server of a URL: name or address and port; of unix:/path the path alone."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return {"server.address": parts.path}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


def trace_id(head: Iterable[tuple[bytes, bytes]]) -> str:
    """The trace id, 32 hexadecimal digits; "" where no header is valid (section 3.2), or two are
    sent.

    Versions after 00 may have more parts after the known ones (section 4). The proxy passes the
    header on untouched.
    """
    found = ""
    seen = False
    for name, value in head:
        if len(name) == 11 and name.lower() == b"traceparent":
            match = _TRACEPARENT.fullmatch(value)
            if seen or match is None or (match[1] == b"00" and match[3]):
                return ""
            found, seen = match[2].decode("ascii"), True
    return found


_CARRIED = (b"traceparent", b"tracestate")
_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
_SHOWN = 200
"""Characters of a path or a host."""


def spans(setting: Traces, *, serves: bool) -> Spans | None:
    """The setting at work; None = off, or this process has no requests of its own.

    Raises:
        PolicyError: the extra `otel` is not installed.
    """
    if not setting.endpoint:
        return None
    try:
        found = all(
            map(find_spec, ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http"))
        )
    except ModuleNotFoundError:
        found = False
    if not found:
        fix = "install header-sidecar[otel], or leave traces.endpoint out"
        raise PolicyError((Problem("traces.endpoint needs OpenTelemetry", fix),))
    return Spans(setting.endpoint, setting.share) if serves else None


class Spans:
    """One span for a share of the requests, sent in batches by its own thread, or dropped."""

    def __init__(
        self, endpoint: str, share: float, draw: Callable[[], float] = random.random
    ) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider, sampling
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, get_current_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        about = {"service.name": "header-sidecar", "service.version": __version__}
        self._provider = TracerProvider(
            resource=Resource.create(about), sampler=sampling.ALWAYS_ON, shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint)
        self._give_up = exporter.shutdown
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("header-sidecar", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._current, self._kind = get_current_span, SpanKind.SERVER
        self._share, self._draw = share, draw
        self._bound = sampling.TraceIdRatioBased.get_bound_for_rate(share)

    def begin(
        self,
        facts: Facts,
        verdict: PreparedDecision,
        about: tuple[str, str, str],
        *,
        trusted: bool,
        age: float,
    ) -> Span | None:
        """The span of a request whose response was just judged; None = it is not in the share.

        Args:
            facts: of the response.
            verdict: what the policy made of it.
            about: route, revision and request id.
            trusted: the peer is a trusted proxy, whose sampling is followed.
            age: seconds since the request began.
        """
        carried = {
            lower.decode(): value.decode("latin-1")
            for name, value in facts.request
            if (lower := name.lower()) in _CARRIED
        }
        parent = self._propagator.extract(carried) if carried else None
        if not self._sampled(parent, trusted=trusted):
            return None
        method = facts.method if facts.method in _METHODS else "_OTHER"
        span = self._tracer.start_span(
            f"{method} {about[0]}",
            context=parent,
            kind=self._kind,
            attributes=_attributes(facts, verdict, about, method),
            start_time=time.time_ns() - int(age * 1e9),
        )
        if facts.status >= 500:
            from opentelemetry.trace import Status, StatusCode

            span.set_status(Status(StatusCode.ERROR))
        return span

    def _sampled(self, parent: Context | None, *, trusted: bool) -> bool:
        """As a trusted proxy says; else a share by the trace id, equal in each replica."""
        at = self._current(parent).get_span_context() if parent is not None else None
        if at is None or not at.is_valid:
            return self._draw() < self._share
        if trusted:
            return bool(at.trace_flags.sampled)
        return bool(at.trace_id & 0xFFFF_FFFF_FFFF_FFFF < self._bound)

    def close(self) -> None:
        """Send what is left. After two seconds it is not tried again; a collector that takes
        connections and is silent may hold it up for longer.
        """
        timer = threading.Timer(2.0, self._give_up)
        timer.start()
        self._provider.shutdown()
        timer.cancel()


def _attributes(
    facts: Facts, verdict: PreparedDecision, about: tuple[str, str, str], method: str
) -> dict[str, Any]:
    route, revision, request_id = about
    return {
        **http_facts(facts, path=_SHOWN, host=_SHOWN),
        "http.request.method": method,
        "client.address": facts.client,
        "sidecar.route": route,
        "sidecar.revision": revision,
        "sidecar.request_id": request_id,
        "sidecar.changed": verdict.changed,
        "sidecar.rules": [finding.rule for finding in verdict.findings],
    }
