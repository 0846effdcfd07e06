"""Test files of a policy: read strictly, judged by the plan that serves, reported in JUnit too."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.policy.engine.plan import compile_policy, decide
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.terms import PolicyError
from sidecar.rollout.cases import (
    Case,
    CaseRequest,
    CaseResponse,
    CaseResult,
    Expect,
    Failure,
    Suite,
    Violation,
    junit,
    read_suite,
    run,
    to_data,
)
from sidecar.source import load
from tests.policy.making import POLICIES, SITUATIONS, policy
from tests.portion import examples

SHOP = policy(
    {
        "server": {"action": "remove", "header": "Server"},
        "csp": {
            "action": "default",
            "header": "Content-Security-Policy",
            "value": "default-src 'self'",
            "when": {"content-type": "text/html"},
        },
        "later": {
            "action": "set",
            "header": "X-Frame-Options",
            "value": "DENY",
            "mode": "report-only",
        },
    },
    mode="report-only",
    routes=[{"name": "api", "match": {"path": "/api/**"}, "mode": "report-only"}],
)
HEAD = "version: 1\npolicy: policy.yaml\ncases:\n"


def suite(*cases: str) -> Suite:
    """A file of these cases, each in flow style."""
    return read_suite(
        (
            HEAD
            + "".join(f"  - {{name: c{number}, {case}}}\n" for number, case in enumerate(cases))
        ).encode(),
        "shop.test.yaml",
    )


def failures(case: str) -> tuple[Failure, ...]:
    """What fails in one case."""
    [result] = run(suite(case), SHOP)
    return result.failures


HTML = "response: {headers: {Content-Type: text/html, Server: [a, b]}}"


@pytest.mark.parametrize(
    "case",
    [
        f"{HTML}, expect: {{headers: {{Server: [a, b], X-Frame-Options: null}}, route: default}}",
        (
            f"{HTML}, mode: enforce, expect: {{headers: {{server: null, Content-Security-Policy:"
            " \"default-src 'self'\", X-Frame-Options: null}}"
        ),
        (
            f"{HTML}, expect: {{violations: [{{rule: server, kind: forbidden}}, {{rule: csp}},"
            " {rule: later, kind: missing}]}"
        ),
        f"{HTML}, mode: off, expect: {{violations: []}}",
        (
            "request: {path: /api/x}, response: {headers: [[Server, a], [server, b]]}, mode:"
            " enforce, expect: {route: api, headers: {Server: [a, b]}}"
        ),
        (
            "response: {headers: [[Set-Cookie, 'a=1'], [Set-Cookie, 'b=2']]}, expect: {headers:"
            " {Set-Cookie: ['a=1', 'b=2']}}"
        ),
    ],
)
def test_right_expectations_pass(case: str) -> None:
    """Mode stands for the policy's own; routes' and rules' ceilings hold; what is not named is
    not looked at.
    """
    assert failures(case) == ()


@pytest.mark.parametrize(
    ("case", "failed"),
    [
        (
            "request: {path: /api/x}, expect: {route: default}",
            [Failure("route", "", ("default",), ("api",))],
        ),
        (
            f"{HTML}, expect: {{headers: {{Server: null}}}}",
            [Failure("header", "Server", (), ("a", "b"))],
        ),
        (
            f"{HTML}, expect: {{headers: {{Server: a}}}}",
            [Failure("header", "Server", ("a",), ("a", "b"))],
        ),
        ("expect: {headers: {Server: a}}", [Failure("header", "Server", ("a",), ())]),
        (
            (
                f"{HTML}, expect: {{violations: [{{rule: server, kind: missing}}, {{rule: csp}},"
                " {rule: later}]}"
            ),
            [
                Failure("violation", "", ("server missing",), ()),
                Failure("violation", "", (), ("server forbidden",)),
            ],
        ),
        ("expect: {violations: []}", [Failure("violation", "", (), ("later missing",))]),
    ],
)
def test_wrong_expectations_fail_with_both_sides(case: str, failed: list[Failure]) -> None:
    """Each failure says what was expected and what came; violations are all that there may be."""
    assert list(failures(case)) == failed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version: 1\npolicy: p\n", "1:1: error: key 'cases' is missing; add it"),
        (
            "version: 1\ncases: []\npolicy: p\n",
            "2:8: error: cases is empty; write at least one, or leave the key out",
        ),
        ("[]", "1:1: error: a test file is a mapping; start with: version: 1"),
        (
            "version: 1\nname: shop\nrules: {}\n",
            "1:1: error: this is a policy, not a test file; run the tests beside it: sidecar test",
        ),
        (
            HEAD + "  - {name: a, expect: {}}",
            "4:23: error: case 'a' expects nothing; add violations, headers or route",
        ),
        (
            HEAD
            + "  - {name: a, expect: {route: default}}\n  - {name: a, expect: {route: default}}",
            "5:12: error: two cases are named 'a'; rename one of them",
        ),
        (
            HEAD + "  - {name: a, request: {pth: /}, expect: {route: x}}",
            "4:25: error: unknown key 'pth'; did you mean 'path'?",
        ),
        (
            HEAD + "  - {name: a, request: {path: '/?a'}, expect: {route: x}}",
            "4:31: error: unknown path '/?a'; write it with '/' first and without query",
        ),
        (
            HEAD + "  - {name: a, request: {method: GTE}, expect: {route: x}}",
            "4:33: error: unknown method 'GTE'; write GET",
        ),
        (
            HEAD + "  - {name: a, expect: {violations: [{rule: a, kind: mising}]}}",
            "4:53: error: unknown kind 'mising'; did you mean 'missing'?",
        ),
        (
            HEAD + "  - {name: a, expect: {headers: {X: 1}}}",
            "4:33: error: the value must be text; put it in quotes: '1'",
        ),
        (
            HEAD + "  - {name: a, expect: {headers: [X]}}",
            (
                "4:33: error: headers are a mapping; write NAME: VALUE, a list for several lines,"
                " or null (absent)"
            ),
        ),
        (
            HEAD + "  - {name: a, response: {headers: {X Y: a}}, expect: {route: x}}",
            "4:35: error: illegal header name 'X Y'; use letters, digits and hyphens",
        ),
        (
            HEAD + "  - {name: a, response: {headers: [[X]]}, expect: {route: x}}",
            (
                "4:35: error: headers are a mapping, or a list of pairs; write NAME: VALUE, or"
                " [NAME, VALUE]"
            ),
        ),
        (
            HEAD + "  - {name: a, mode: on, expect: {route: x}}",
            "4:21: error: 'on' is a boolean in YAML 1.1 and a text in 1.2",
        ),
    ],
)
def test_a_wrong_file_is_reported_in_its_place(text: str, problem: str) -> None:
    """Test files are read as strictly as policies: line, column, the wrong word, the fix."""
    with pytest.raises(PolicyError) as error:
        read_suite(text.encode(), "t")

    assert f"t:{problem}" in str(error.value)


def test_names_that_the_policy_does_not_have_are_reported() -> None:
    """A misspelt rule or route would be a test that cannot fail, or cannot pass."""
    with pytest.raises(PolicyError) as error:
        run(suite("expect: {violations: [{rule: sever}]}", "expect: {route: ap}"), SHOP)

    assert str(error.value).splitlines() == [
        "shop.test.yaml:4:45: error: unknown rule 'sever'; did you mean 'server'?",
        "shop.test.yaml:5:32: error: unknown route 'ap'; did you mean 'api'?",
    ]


@settings(max_examples=examples(60))
@given(POLICIES, SITUATIONS, st.data())
def test_a_case_says_what_the_plan_decides(
    resolved: Resolved, response: Facts, data: st.DataObject
) -> None:
    """A case made from a decision passes; with any one of its expectations turned it fails."""
    parsed = _told(resolved, response)
    if parsed is None:
        return
    case, broken = parsed
    assert _run(case, resolved).failures == ()
    assert _run(data.draw(st.sampled_from(broken)), resolved).failures


def _told(resolved: Resolved, response: Facts) -> tuple[Case, list[Case]] | None:
    """The case of a decision, and cases that must fail; None where a test file could not say it."""
    plan = compile_policy(resolved)
    route = plan.route(response.host, response.method, response.path)
    decision = decide(route, response)
    pairs = [
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in lines]
        for lines in (response.request, response.fields, decision.fields)
    ]
    names = {name.lower() for name, _ in pairs[2]}
    if not all((name + value).isascii() for lines in pairs for name, value in lines):
        return None
    headers = {
        name: tuple(value for found, value in pairs[2] if found.lower() == name) for name in names
    }
    violations = [
        Violation(rule=rule, kind=kind)
        for rule, kind in dict.fromkeys((one.rule, one.kind) for one in decision.findings)
    ]
    asked = CaseRequest.model_construct(
        method=response.method,
        host=response.host,
        path=response.path,
        scheme="https" if response.scheme == "https" else "http",
        headers=tuple(pairs[0]),
        client=response.client,
    )
    answered = CaseResponse.model_construct(status=response.status, headers=tuple(pairs[1]))

    def case(**expect: Any) -> Case:
        made = Expect.model_construct(
            violations=expect.get("violations"),
            headers=expect.get("headers", {}),
            route=expect.get("route"),
        )
        return Case.model_construct(
            name="it", request=asked, response=answered, mode=None, expect=made
        )

    broken = [
        case(headers={**headers, "x-turned": ("a",)}),
        case(violations=[*violations, Violation(rule="no-such")]),
        case(route="no-such"),
    ]
    broken += [case(headers={name: (*lines, "more")}) for name, lines in headers.items()] + (
        [case(violations=violations[1:])] if violations else []
    )
    return case(violations=violations, headers=headers, route=route.name), broken


def _run(case: Case, resolved: Resolved) -> CaseResult:
    source = load(b"cases: [{}]", "t")
    unknown = case.expect.route == "no-such" or any(
        one.rule == "no-such" for one in case.expect.violations or ()
    )
    if unknown:
        with pytest.raises(PolicyError):
            run(Suite(source, "p", [case]), resolved)
        return CaseResult("t", 1, "it", (Failure("route", "", (), ()),))
    return run(Suite(source, "p", [case]), resolved)[0]


def test_junit_is_what_build_servers_read() -> None:
    """One suite for each file, one failure element for each failed case, hostile text made legal
    XML.
    """
    failure = Failure("header", "Server", (), ("\x00<a&b>\x1b",))
    results = [
        CaseResult("a.test.yaml", 4, "fine", ()),
        CaseResult("a.test.yaml", 9, "b\x01", (failure,)),
        CaseResult("b.test.yaml", 4, "c", ()),
    ]
    root = ET.fromstring(junit(results))

    assert [(one.get("name"), one.get("tests"), one.get("failures")) for one in root] == [
        ("a.test.yaml", "2", "1"),
        ("b.test.yaml", "1", "0"),
    ]
    assert [(case.get("name"), case.get("line"), len(case)) for case in root.iter("testcase")] == [
        ("fine", "4", 0),
        ("b\\u0001", "9", 1),
        ("c", "4", 0),
    ]
    assert (
        next(root.iter("failure")).text
        == "header Server: expected (absent), got \\u0000<a&b>\\u001b"
    )


def test_results_are_data() -> None:
    """For machines: every case with its place, and whether it passed."""
    [result] = run(suite("expect: {violations: []}"), SHOP)

    assert to_data([result]) == [
        {
            "file": "shop.test.yaml",
            "line": 4,
            "case": "c0",
            "passed": False,
            "failures": (
                {"what": "violation", "name": "", "expected": (), "got": ("later missing",)},
            ),
        }
    ]


@pytest.mark.parametrize(
    ("route", "rule", "leaves"),
    [
        (None, None, True),
        ("report-only", "report-only", True),
        ("trial", "enforce", True),
        ("off", None, False),
        (None, "off", False),
    ],
)
def test_enforce_all_leaves_no_mode_but_off(route: Any, rule: Any, leaves: bool):
    """Whatever the policy, its routes and its rules say, so that a promotion breaks no test."""
    frames = {"action": "set", "header": "X-A", "value": "1"} | ({"mode": rule} if rule else {})
    place = {"name": "api", "match": {"path": "/api"}} | ({"mode": route} if route else {})
    made = policy({"frames": frames}, mode="report-only", routes=[place])
    wanted = "'1'" if leaves else "null"
    case = f"enforce-all: true, request: {{path: /api}}, expect: {{headers: {{X-A: {wanted}}}}}"

    assert run(suite(case), made)[0].failures == ()


def test_a_case_has_a_mode_or_enforces_all():
    """Both would be a riddle."""
    with pytest.raises(PolicyError, match="has both mode and enforce-all; leave one of them out"):
        suite("mode: enforce, enforce-all: true, expect: {route: default}")
