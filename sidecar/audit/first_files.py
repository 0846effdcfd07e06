"""A service's first files, from one look at it: a commented report-only policy, and tests of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from sidecar.audit.draft import block, gather
from sidecar.audit.report import report
from sidecar.audit.visit import Visit, shown
from sidecar.observed import Response, without_query
from sidecar.policy import headers
from sidecar.policy.engine.explain import explain
from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.headers import cookies
from sidecar.policy.rules.conditions import Facts
from sidecar.scalars import scalar

Lines: TypeAlias = list[tuple[str, str]]
"""Header lines as text, in order."""

_SIGNS = (
    ("set-cookie", "csrftoken=", "django-2026-11"),
    ("server", "werkzeug", "flask-2026-11"),
    ("content-type", "application/json", "api-2026-11"),
)
"""Header, a part of its value, and the preset for such a service."""

_HEAD = """\
# The security headers of {name}. A rule in report-only changes nothing: the sidecar logs what it would change.
#   sidecar check {file}     every problem with its place and fix
#   sidecar test {tests}     what the policy makes of the responses that were seen
#   sidecar evidence; sidecar promote RULE     when traffic has shown that a rule breaks nothing
version: 1
name: {quoted}
{owner}
reason: {reason}
expected: responses have the headers below, and no page or client is broken
rollback: sidecar rollback
mode: report-only
"""  # noqa: E501
_TESTS = """\
# Tests of {policy}: sidecar test {file}
# Each case is a response of the service; `mode: enforce` judges it as if every rule were enforced.
version: 1
policy: {policy}
cases:
"""


@dataclass(frozen=True, slots=True)
class Wishes:
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


def policy_text(wishes: Wishes, visit: Visit | None) -> str:
    """A report-only policy: the preset, and rules for findings that it does not cover. ASCII."""
    address = without_query(visit.page.url) if visit and visit.page else ""
    reason = f"first look at {address}" if address else f"start from the preset {wishes.preset}"
    owner = "# owner: web@example.com     who is responsible for this policy"
    text = _HEAD.format(
        name=wishes.name,
        file=wishes.policy_file,
        tests=wishes.test_file,
        quoted=scalar(wishes.name),
        owner=f"owner: {scalar(wishes.owner)}" if wishes.owner else owner,
        reason=scalar(reason[:512]),
    )
    found = gather((report(visit),)) if visit and visit.page else ()
    if wishes.preset:
        text += (
            f"extends: [{wishes.preset}]     # its rules: sidecar presets {wishes.preset}\n"
            "# A rule of the preset is changed by its name below, as `csp: {mode: off}`.\n"
        )
        found = tuple(one for one in found if one.fix.name.startswith("cookie-"))
    if not found:
        return f"{text}rules: {{}}\n"
    return f"{text}rules:\n{''.join(map(block, found))}"


def tests_text(wishes: Wishes, resolved: Resolved, visit: Visit | None) -> str:
    """Two cases for the response that was seen: as it leaves today, and with all enforced."""
    page = visit.page if visit else None
    response = page or Response("https://localhost/", 200, ((b"Content-Type", b"text/html"),))
    before = list(_kept(response))
    after = _enforced(resolved, response, before)
    changed = dict.fromkeys(
        name for name, _ in (*before, *after) if _values(before, name) != _values(after, name)
    )
    path = response.place.path or "/"
    head = _TESTS.format(policy=scalar(wishes.policy_file), file=wishes.test_file)
    today = f"while the rules only report, {path} leaves as the service made it"
    enforced = f"enforced, {path} has the headers of the policy"
    return (
        head
        + _case(today, "", response, before, before, changed)
        + _case(enforced, "    mode: enforce\n", response, before, after, changed)
    )


def _enforced(resolved: Resolved, response: Response, lines: Lines) -> Lines:
    """The lines that leave when every rule is enforced."""
    policy = resolved.policy.model_copy(update={"mode": "enforce"})
    place = response.place
    host, path = place.hostname or "localhost", place.path or "/"
    fields = [(name.encode(), value.encode()) for name, value in lines]
    facts = Facts("GET", host, path, place.scheme, [], response.status, fields)
    route = compile_policy(replace(resolved, policy=policy)).route(facts.host, "GET", facts.path)
    return [(name.decode(), value.decode()) for name, value in explain(route, facts).after]


def _case(
    title: str, mode: str, response: Response, given: Lines, leaves: Lines, changed: Iterable[str]
) -> str:
    place = response.place
    asked = (
        f"host: {json.dumps(place.hostname or 'localhost')}, path: {json.dumps(place.path or '/')},"
        f" scheme: {json.dumps(place.scheme)}"
    )
    rows = [f"        {scalar(name)}: {_expected(_values(leaves, name))}\n" for name in changed]
    return "".join(
        (
            f"  - name: {json.dumps(title[:200])}\n{mode}    request: {{{asked}}}\n",
            f"    response:\n      status: {response.status}\n      headers:\n",
            *(f"        - {json.dumps(line)}\n" for line in given),
            "    expect:\n      headers:\n" if rows else "    expect: {headers: {}}\n",
            *rows,
        )
    )


def _values(lines: Lines, name: str) -> list[str]:
    return [value for found, value in lines if found.lower() == name.lower()]


def _expected(values: list[str]) -> str:
    return "null" if not values else json.dumps(values[0] if len(values) == 1 else values)


def _kept(response: Response) -> Iterator[tuple[str, str]]:
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
