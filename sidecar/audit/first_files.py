"""First files from reports: a report-only policy with commented rules, and tests of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from sidecar.audit.fixes import Fix, removal
from sidecar.audit.report import AuditReport, report
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
class DraftRule:
    """A rule, and the findings that it is for."""

    fix: Fix
    findings: tuple[str, ...]

    @property
    def comments(self) -> tuple[str, ...]:
        """What stands above it in a policy file."""
        breaks = (f"May break: {self.fix.breaks}",) if self.fix.breaks else ()
        return (*self.findings, *breaks)


def gather(reports: Iterable[AuditReport]) -> tuple[DraftRule, ...]:
    """One rule for each header or cookie, in the order of the findings; one for all names that
    leak.

    Where several cookies would get the same rule name, the later rules get numbers.
    """
    held: dict[str, DraftRule] = {}
    leaks: dict[str, None] = {}
    for row in (row for one in reports for row in one.rows):
        if row.verdict == "leaks":
            leaks[row.header] = None
        elif row.fix is not None:
            _add(held, row.fix, f"{row.header} is {row.verdict}: {row.why}")
    rules = [*held.values()]
    if leaks:
        rules.append(
            DraftRule(removal(*leaks), (f"These reveal what runs here: {', '.join(leaks)}.",))
        )
    return tuple(rules)


def _add(held: dict[str, DraftRule], fix: Fix, finding: str) -> None:
    name, number = fix.name, 1
    while name in held and held[name].fix.rule.get("cookie") != fix.rule.get("cookie"):
        number += 1
        name = f"{fix.name}-{number}"
    findings: tuple[str, ...] = (finding,)
    if before := held.get(name):
        # `set` also adds an absent header, and the attributes of a cookie add up.
        findings = tuple(dict.fromkeys((*before.findings, finding)))
        mine, theirs = before.fix.rule.get("attributes"), fix.rule.get("attributes")
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            fix = replace(before.fix, rule={**before.fix.rule, "attributes": {**mine, **theirs}})
        elif before.fix.rule.get("action") != "default":
            fix = before.fix
    held[name] = DraftRule(replace(fix, name=name), findings)


def draft(reports: Iterable[AuditReport]) -> str:
    """A policy file with a rule for each finding of all pages; ASCII."""
    held = tuple(reports)
    hosts = ", ".join(dict.fromkeys(one.host for one in held))
    urls = ", ".join(dict.fromkeys(one.url for one in held))
    return filled(
        "sidecar.audit",
        "draft.yaml.jinja",
        name=scalar(hosts[:128] or "audited"),
        reason=scalar(f"audit of {urls}"[:512]),
        found=gather(held),
    )


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
