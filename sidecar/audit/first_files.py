"""A service's first files, from one look at it: a commented report-only policy, and tests of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from sidecar.audit.draft import gather
from sidecar.audit.report import report
from sidecar.audit.visit import Visit, shown
from sidecar.observed import ObservedResponse, without_query
from sidecar.policy import headers
from sidecar.policy.engine.explain import explain
from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.headers import cookies
from sidecar.policy.rules.conditions import Facts
from sidecar.scalars import scalar
from sidecar.templates import filled

Lines: TypeAlias = list[tuple[str, str]]
"""Header lines as text, in order."""

_SIGNS = (
    ("set-cookie", "csrftoken=", "django-2026-11"),
    ("server", "werkzeug", "flask-2026-11"),
    ("content-type", "application/json", "api-2026-11"),
)
"""Header, a part of its value, and the preset for such a service."""


@dataclass(frozen=True, slots=True)
class InitChoices:
    """What the user wants; `preset` "" = rules from what was seen."""

    name: str
    owner: str
    preset: str
    policy_file: str
    test_file: str


def preset_for(visit: Visit) -> str:
    """The preset that is made for such a service; "" where nothing shows its kind."""
    for header, sign, preset in _SIGNS if visit.page else ():
        if visit.page and any(sign in value.lower() for value in visit.page.values(header)):
            return preset
    return ""


def policy_text(wishes: InitChoices, visit: Visit | None) -> str:
    """A report-only policy: the preset, and rules for findings that it does not cover. ASCII."""
    address = without_query(visit.page.url) if visit and visit.page else ""
    reason = f"first look at {address}" if address else f"start from the preset {wishes.preset}"
    found = gather((report(visit),)) if visit and visit.page else ()
    if wishes.preset:
        found = tuple(one for one in found if one.fix.name.startswith("cookie-"))
    facts = {"wishes": wishes, "reason": reason[:512], "found": found, "scalar": scalar}
    return filled("sidecar.audit", "first.yaml.jinja", **facts)


def tests_text(wishes: InitChoices, resolved: Resolved, visit: Visit | None) -> str:
    """Two cases for the response that was seen: as it leaves today, and with all enforced."""
    page = visit.page if visit else None
    response = page or ObservedResponse(
        "https://localhost/", 200, ((b"Content-Type", b"text/html"),)
    )
    before = list(_kept(response))
    after = _enforced(resolved, response, before)
    path = response.place.path or "/"
    today = f"while the rules only report, {path} leaves as the service made it"
    return filled(
        "sidecar.audit",
        "first.test.yaml.jinja",
        wishes=wishes,
        cases=(
            (today, "mode: report-only", before),
            (f"enforced, {path} has the headers of the policy", "enforce-all: true", after),
        ),
        host=response.place.hostname or "localhost",
        path=path,
        scheme=response.place.scheme,
        status=response.status,
        given=before,
        changed=dict.fromkeys(
            name for name, _ in (*before, *after) if _values(before, name) != _values(after, name)
        ),
        expected=_expected,
        scalar=scalar,
        json=json.dumps,
    )


def _enforced(resolved: Resolved, response: ObservedResponse, lines: Lines) -> Lines:
    """The lines that leave when every rule is enforced."""
    policy = resolved.policy.model_copy(update={"mode": "enforce"})
    place = response.place
    host, path = place.hostname or "localhost", place.path or "/"
    fields = [(name.encode(), value.encode()) for name, value in lines]
    facts = Facts("GET", host, path, place.scheme, [], response.status, fields)
    route = compile_policy(replace(resolved, policy=policy)).route(facts.host, "GET", facts.path)
    return [(name.decode(), value.decode()) for name, value in explain(route, facts).after]


def _values(lines: Lines, name: str) -> list[str]:
    return [value for found, value in lines if found.lower() == name.lower()]


def _expected(lines: Lines, name: str) -> str:
    """The values of a header as a test expects them; null = it is absent."""
    values = _values(lines, name)
    return json.dumps(values[0] if len(values) == 1 else values or None)


def _kept(response: ObservedResponse) -> Iterator[tuple[str, str]]:
    """The lines that a policy is about, without cookie values, nonces and queries."""
    for raw, value in response.fields:
        name = raw.decode("latin-1")
        text = value.decode("latin-1").strip()
        if name.lower() == "set-cookie":
            cookie = cookies.parse(text)
            if cookie.name and cookie.name.isascii():
                _, _, attributes = text.partition(";")
                yield name, shown(f"{cookie.name}=x{';' if attributes else ''}{attributes}")
        elif headers.get(name) is not None or name.lower() in headers.DISCLOSURE:
            yield name, shown(text)
