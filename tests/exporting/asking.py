"""The same requests to the sidecar and to a target in front of one service, and what differs in the
responses.

A difference is excused only where the export announced it.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sidecar.exporting.program import Gap
from sidecar.exporting.terms import condition, response_names
from sidecar.exporting.verification import remaining
from sidecar.policy.engine.plan import Plan, compile_policy, decide
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.rules.conditions import Facts
from tests.exporting.origin import DROPPED, ODD, RESPONSES, Lines
from tests.exporting.policies import Policy
from tests.patience import PATIENCE
from tests.portion import FULL

# What servers say of themselves and of the message.
FRAMING = frozenset(
    (
        "server",
        "date",
        "via",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "alt-svc",
        "x-request-id",
    )
)


class Ask(NamedTuple):
    """One request."""

    method: str
    scheme: str
    host: str
    path: str
    headers: tuple[tuple[str, str], ...]
    response: str

    def __str__(self) -> str:
        return (
            f"{self.method} {self.scheme}://{self.host}{self.path} {dict(self.headers)} ->"
            f" {self.response}"
        )


_PLACES = (
    ("GET", "https", "shop.example", "/", ()),
    ("GET", "http", "www.shop.example:8080", "/api/items", (("Origin", "https://a.example"),)),
    ("POST", "https", "SHOP.example", "/api/v1/items", (("Sec-Fetch-Dest", "document"),)),
    ("GET", "https", "www.shop.example", "/static/a.css", (("Sec-Fetch-Dest", "empty"),)),
    ("GET", "http", "other.example", "/docs", ()),
    ("HEAD", "https", "other.example", "/api/%61", ()),
    ("GET", "https", "other.example", "/user/logout", (("Origin", "null"),)),
)
_ASKED = _PLACES if FULL else (*_PLACES[:3], _PLACES[5])
ASKS = tuple(Ask(*place, name) for place in _ASKED for name in RESPONSES)
PATHS = (
    "/one",
    "/one/",
    "//one",
    "/two",
    "/two/",
    "/two//x/",
    "/one//x/deep",
    "/one/x/deep/",
    "/%6fne",
    "/tw%6f/%61",
    "/One",
)
ODD_PATHS = tuple(
    Ask("GET", "https", "shop.example", path, (), name)
    for path in PATHS
    for name in ("page", "missing")
)
OWN = tuple(Ask(*place, DROPPED) for place in _PLACES)
"""Requests that a proxy answers itself, by 502."""


@dataclass
class Client:
    """Connections to one proxy, kept; `forwarded` where the scheme is told by a header."""

    plain: int
    tls: int = 0

    def __post_init__(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._connections = {
            "http": http.client.HTTPConnection("127.0.0.1", self.plain, timeout=PATIENCE),
            "https": http.client.HTTPSConnection(
                "127.0.0.1", self.tls, timeout=PATIENCE, context=context
            ),
        }

    def ask(self, one: Ask) -> tuple[int, Lines]:
        """Status and header lines."""
        scheme = one.scheme if self.tls else "http"
        connection = self._connections[scheme]
        headers = {"Host": one.host, **dict(one.headers)}
        if not self.tls:
            headers["X-Forwarded-Proto"] = one.scheme
        body = b"x" if one.method == "POST" else None
        if one.response == DROPPED:
            # HAProxy answers it on a new connection only; else the client has to ask again
            connection.close()
        connection.request(one.method, f"{one.path}?response={one.response}", body, headers)
        response = connection.getresponse()
        try:
            response.read()
        except http.client.IncompleteRead:
            # Traefik cuts the large response to a POST short about once in two thousand; its lines
            # are whole.
            connection.close()
        return response.status, response.getheaders()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


def expected(plan: Plan, one: Ask, status: int, lines: Lines) -> Lines:
    """What the policy makes of a response."""
    host = one.host
    facts = Facts(
        one.method,
        host,
        one.path,
        one.scheme,
        [(name.encode(), value.encode()) for name, value in one.headers],
        status,
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines],
    )
    made = decide(plan.route(host, one.method, one.path), facts).fields
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in made]


def without(resolved: Resolved, gaps: Sequence[Gap]) -> Plan:
    """The policy without what the export says that it lost."""
    return compile_policy(remaining(resolved, gaps))


def by_name(lines: Lines) -> dict[str, list[object]]:
    """The values of each header; cookies as name, value and their attributes in any order."""
    found: dict[str, list[object]] = {}
    for name, value in lines:
        key = name.lower()
        found.setdefault(key, []).append(_cookie(value) if key == "set-cookie" else value)
    return found


def _cookie(line: str) -> tuple[str, frozenset[str]]:
    pair, *attributes = line.split(";")
    names = (part.strip().partition("=") for part in attributes if part.strip())
    return pair.strip(), frozenset(
        f"{name.lower()}={value.lower() if name.lower() == 'samesite' else value}"
        for name, _, value in names
    )


def unlike(
    left: Lines, right: Lines, touched: frozenset[str], target: str = ""
) -> Iterator[tuple[str, str]]:
    """Names and texts of what differs; what frames a message counts only where the policy names
    it.
    """
    theirs, ours = by_name(left), by_name(right)
    for name in sorted(theirs.keys() | ours.keys()):
        if name in FRAMING and name not in touched:
            continue
        # Apache has two tables, so what was added goes first; to it and to Envoy Vary is one list.
        if target == "apache" or (target == "envoy" and name == "vary"):
            theirs[name], ours[name] = (
                _any_order(name, theirs.get(name, [])),
                _any_order(name, ours.get(name, [])),
            )
        if theirs.get(name, []) != ours.get(name, []):
            yield (
                name,
                (
                    f"{name}: the target sends {theirs.get(name, [])}, the policy says"
                    f" {ours.get(name, [])}"
                ),
            )


def _any_order(name: str, values: list[object]) -> list[object]:
    if name == "vary":
        values = [
            *dict.fromkeys(word for value in values for word in re.split(r"[,\s]+", str(value)))
        ]
    return sorted(values, key=str)


def dumped(policy: Policy) -> str:
    """As a policy file."""
    return json.dumps(policy, indent=1)


__all__ = ["ASKS", "ODD", "OWN", "Client", "expected", "unlike", "without"]


def excuse(name: str, one: Ask, resolved: Resolved, gaps: Sequence[Gap]) -> bool:
    """Whether a limit of the target, or a difference that was announced, covers this: on
    responses that are odd in what it is about.
    """
    lines = RESPONSES[one.response][1]
    odd = {
        field.lower()
        for field, value in lines
        if value in ("", "A", "Text/HTML", "INLINE")
        or sum(field == other for other, _ in lines) > 1
    }
    odd.discard("set-cookie")
    if name in odd:
        return True
    if any(
        gap.weight == "differs" and gap.header.lower() == name and gap.header == "Content-Type"
        for gap in gaps
    ):
        return True
    if "content-type" in odd or "content-disposition" in odd:
        odd |= {"content-type", "content-disposition"}
    rules = [named.rule for route in resolved.routes for named in route.rules]
    mine = [
        rule
        for rule in rules
        if name in [header.lower() for header in rule.header or ("set-cookie",)]
    ]
    return any(response_names(condition(rule.when)) & odd for rule in mine)
