"""The table of headers: one row for each security-relevant response header in use, and the names
that disclose.

To add a header, add a row to the file. Sources: the specification named in each row; OWASP Secure
Headers Project, lists of 2026-07-19.
"""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

import json
from pkgutil import get_data
from typing import Literal, NamedTuple, TypeAlias, get_args

_Protecting: TypeAlias = Literal["content", "transport", "framing", "cross-origin", "cors"]
_Other: TypeAlias = Literal["reporting", "session", "caching", "disclosure", "deprecated"]
Group: TypeAlias = Literal[_Protecting, _Other]
_Dictionary: TypeAlias = Literal["permissions", "endpoints", "integrity", "dictionary"]
_List: TypeAlias = Literal["csp", "hsts", "referrer", "cache", "vary", "names", "site-data"]
_Word: TypeAlias = Literal["token", "exact", "item", "boolean", "number", "origin", "text"]
_Own: TypeAlias = Literal["cookie", "nel", "report-to", "origins", "allowlist"]
_Plain: TypeAlias = Literal["media-type", "disposition", "date", "challenge", "path"]
Grammar: TypeAlias = Literal[_Dictionary, _List, _Word, _Own, _Plain]
"""How a value is read; `token` and `exact` are single words, and case counts only in the latter."""
Scope: TypeAlias = Literal["documents", "all", "https", "logout"]
"""Where the header has an effect: pages (and workers), every response, responses over HTTPS, the
response to a logout.
"""
Repeats: TypeAlias = Literal[
    "first", "last", "union", "intersect", "invalid", "conflict-blocks", "separate"
]
"""How browsers read several copies: the first counts; they are one list in which the last entry
counts; they are one list; all of them hold; none of them counts; they block unless they agree; each
is a header of its own.
"""


class Header(NamedTuple):
    """What is known of one header."""

    name: str
    group: Group
    grammar: Grammar
    purpose: str
    """What it is for; of a deprecated header: what to do instead."""
    spec: str
    """The address of its specification."""
    scope: Scope = "all"
    repeats: Repeats = "first"
    strong: str = ""
    """The recommended value as sent; "" = it depends on the site."""
    tokens: tuple[str, ...] = ()
    """The values that browsers recognise, the most protective first; () = not a closed list."""
    weak: tuple[tuple[str, str], ...] = ()
    """Values that protect little, and why."""
    twin: str | None = None
    """The header that only reports what this one would block, where one exists."""
    breaks: str = ""
    """What the recommended value may break."""
    deprecated: bool = False

    @property
    def key(self) -> str:
        """The name in lower case."""
        return self.name.lower()

    @property
    def single(self) -> bool:
        """Whether a response may hold it only once."""
        return self.repeats in ("first", "invalid", "conflict-blocks")

    @property
    def shape(self) -> Literal["single", "list", "dictionary", "policies", "lines"]:
        """What the copies of the header are together."""
        if self.repeats in ("intersect", "separate"):
            return "policies" if self.repeats == "intersect" else "lines"
        if self.single:
            return "single"
        return "dictionary" if self.grammar in get_args(_Dictionary) else "list"


def _read() -> tuple[Header, ...]:
    rows = json.loads(get_data("sidecar.policy.headers", "table.json") or b"")
    names = {row["name"] for row in rows}
    for row in rows:
        row["tokens"] = tuple(row.get("tokens", ()))
        row["weak"] = tuple(row.get("weak", {}).items())
        twin = f"{row['name']}-Report-Only"
        row["twin"] = twin if twin in names and not row.get("deprecated") else None
    return tuple(Header(**row) for row in rows)


ALL: tuple[Header, ...] = _read()

DISCLOSURE: frozenset[str] = frozenset(
    """
    $wsep host-header k-proxy-request liferay-portal oraclecommercecloud-version pega-host
    powered-by product server sourcemap x-aspnet-version x-aspnetmvc-version x-atmosphere-error
    x-atmosphere-first-request x-atmosphere-tracking-id x-b3-parentspanid x-b3-sampled x-b3-spanid
    x-b3-traceid x-backside-transport x-beserver x-calculatedbetarget x-cf-powered-by x-cms
    x-cocoon-version x-content-encoded-by x-datadog-origin x-datadog-parent-id
    x-datadog-sampling-priority x-datadog-tags x-datadog-trace-id x-diaginfo x-dtagentid
    x-dthealthcheck x-dtinjectedservlet x-envoy-attempt-count x-envoy-external-address
    x-envoy-internal x-envoy-original-dst-host x-envoy-upstream-service-time x-feserver x-framework
    x-generated-by x-generator x-gitlab-meta x-jitsi-release x-joomla-version x-kong-admin-latency
    x-kong-client-latency x-kong-proxy-latency x-kong-request-id x-kong-response-latency
    x-kong-third-party-latency x-kong-total-latency x-kong-upstream-latency x-kong-upstream-status
    x-kubernetes-pf-flowschema-ui x-kubernetes-pf-flowschema-uid x-kubernetes-pf-prioritylevel-uid
    x-litespeed-cache x-litespeed-cache-control x-litespeed-purge x-litespeed-tag x-litespeed-vary
    x-mod-pagespeed x-nextjs-cache x-nextjs-matched-path x-nextjs-page x-nextjs-redirect
    x-old-content-length x-oneagent-js-injection x-owa-version x-page-speed x-php-version
    x-powered-by x-powered-by-plesk x-powered-cms x-redirect-by x-ruxit-js-agent x-server-powered-by
    x-sourcefiles x-sourcemap x-turbo-charged-by x-tyk-trace-id x-umbraco-version x-varnish-backend
    x-varnish-server x-woodpecker-version
    """.split()
)
"""Names to remove from responses, in lower case: the OWASP list, and the name that Kubernetes in
fact sends (...-UID).
"""
