"""The names of HTTP facts in events and spans: OpenTelemetry's semantic conventions."""

from __future__ import annotations

from typing import Any

from sidecar.policy.rules.conditions import Facts


def http_facts(facts: Facts, *, path: int = 512, host: int = 256) -> dict[str, Any]:
    """A request and its response; at most `path` and `host` characters of each."""
    return {
        "http.request.method": facts.method,
        "http.response.status_code": facts.status,
        "url.scheme": facts.scheme,
        "url.path": facts.path[:path],
        "server.address": facts.host[:host],
    }
