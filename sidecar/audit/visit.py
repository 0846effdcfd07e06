"""What was seen of one page: its responses over https and http, and the probes.

Also how values are shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.observed import ObservedResponse, split

JUDGED = frozenset({401, 403})
"""Statuses beyond 2xx and 3xx whose responses the Observatory judges."""
HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})

PORTS: Mapping[str, int] = {"http": 80, "https": 443}
MAX_HOPS = 10
"""Redirects that are followed."""
MAX_SHOWN = 300
"""Characters of an observed value that are shown."""

# ?0 and ?1 are the booleans of structured fields; anything else after a question mark is a query.
_SECRETS = re.compile(r"(?i)(nonce-)[^'\s;,]+|(\?)(?![01](?:[\s;,.]|$))[^\s;,\"]*[^\s;,\":]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Visit:
    """All that is known of one page. A chain is the redirects in order, then the last response."""

    url: str
    """The address that was asked for, or that the record was made from."""
    https: tuple[ObservedResponse, ...] = ()
    """The chain from the https address; () = no response."""
    http: tuple[ObservedResponse, ...] = ()
    """The chain from the page over http."""
    others: tuple[ObservedResponse, ...] = ()
    """Further responses of the same host whose cookies count, such as that for robots.txt."""
    probe: ObservedResponse | None = None
    """The response to a CORS preflight from `origin`."""
    origin: str = ""
    preloaded: frozenset[str] = frozenset()
    """Hosts said to be in the browsers' HSTS preload lists."""
    notes: tuple[str, ...] = ()
    """What could not be looked at, and what follows from it."""

    @property
    def session(self) -> tuple[ObservedResponse, ...]:
        """The chain that is judged: over https where there is one."""
        return self.https or self.http

    @property
    def page(self) -> ObservedResponse | None:
        """The response that is judged; None = there was none."""
        return self.session[-1] if self.session else None

    @property
    def host(self) -> str:
        """The host of the page, in lower case."""
        return (self.page.place.hostname if self.page else split(self.url).hostname) or ""

    def is_preloaded(self, host: str) -> bool:
        """Whether browsers use https only for this host; a listed host includes subdomains."""
        return any(host == listed or host.endswith(f".{listed}") for listed in self.preloaded)


def is_judged(status: int) -> bool:
    """Whether the Observatory judges a response of this status."""
    return 200 <= status < 400 or status in JUDGED


def shown(value: str) -> str:
    """A header value, or a text that quotes one: visible ASCII, cut, without nonces and queries."""
    bare = _SECRETS.sub(lambda found: f"{found[1] or found[2]}...", value[: 2 * MAX_SHOWN])
    text = bare.encode("ascii", "backslashreplace").decode()
    text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
