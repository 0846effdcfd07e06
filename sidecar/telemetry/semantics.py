"""The names of HTTP facts in events and spans: OpenTelemetry's semantic conventions."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

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


def server_facts(url: str) -> dict[str, Any]:
    """The server of a URL: name or address and port; of unix:/path the path alone."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return {"server.address": parts.path}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}
