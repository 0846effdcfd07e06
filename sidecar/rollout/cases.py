"""Tests of a policy (`*.test.yaml`): a request and response in, violations and headers out."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pydantic import BeforeValidator, Field, ValidationError

from sidecar.policy.engine.judge import Decision
from sidecar.policy.engine.plan import compile_policy, decide
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.model import StrictModel
from sidecar.policy.problems import did_you_mean, translate
from sidecar.policy.rules.conditions import Facts, RawFields
from sidecar.policy.terms import Mode, Path, PolicyError, Problem, ViolationKind
from sidecar.policy.values import any_header_name, header_value, request_method, request_path
from sidecar.source import SourceText, load, located


def _pairs(value: object) -> object:
    """Headers as a mapping (a text, or a list for several lines) or as a list of [name, value]."""
    if isinstance(value, dict):
        listed = [(name, line) for name, lines in value.items() for line in _listed(lines)]
    elif isinstance(value, list) and all(isinstance(it, list) and len(it) == 2 for it in value):
        listed = [(name, line) for name, line in value]
    else:
        raise ValueError(
            "headers are a mapping, or a list of pairs; write NAME: VALUE, or [NAME, VALUE]"
        )
    return tuple((any_header_name(name), header_value(line)) for name, line in listed)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _expected(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError(
            "headers are a mapping; write NAME: VALUE, a list for several lines, or null (absent)"
        )
    lines = {
        any_header_name(name): _listed([] if said is None else said) for name, said in value.items()
    }
    return {name: tuple(map(header_value, said)) for name, said in lines.items()}


Pairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_pairs)]
Expected = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_expected)]


class CaseRequest(StrictModel):
    """The client's request."""

    method: Annotated[str, BeforeValidator(request_method)] = "GET"
    host: str = "localhost"
    path: Annotated[str, BeforeValidator(request_path)] = "/"
    scheme: Literal["http", "https"] = "https"
    headers: Pairs = ()
    client: str = ""


class CaseResponse(StrictModel):
    """The service's response."""

    status: int = Field(200, ge=100, le=599)
    headers: Pairs = ()


class Violation(StrictModel):
    """One violation that must be found; without kind, of any kind."""

    rule: str
    kind: ViolationKind | None = None


class Expect(StrictModel):
    """What must come out; only what is named is compared, but `violations` must be complete."""

    violations: list[Violation] | None = None
    headers: Expected = Field(default_factory=dict)
    route: str | None = None


class Case(StrictModel):
    """One test. `mode` replaces the policy's own mode, under the ceilings of routes and rules;
    `enforce-all` sets every mode but off to enforce, so a case stays true as rules are promoted.
    """

    name: str = Field(min_length=1, max_length=200)
    request: CaseRequest = Field(default_factory=CaseRequest)
    response: CaseResponse = Field(default_factory=CaseResponse)
    mode: Mode | None = None
    enforce_all: bool = False
    expect: Expect


class _File(StrictModel):
    version: Literal[1]
    policy: str = Field(min_length=1)
    cases: list[Case] = Field(min_length=1)


What: TypeAlias = Literal["route", "violation", "header"]


@dataclass(frozen=True, slots=True)
class Suite:
    """One file: its cases, and the policy's file as it names it."""

    source: SourceText
    policy: str
    cases: Sequence[Case]


@dataclass(frozen=True, slots=True)
class Failure:
    """What differs from what was expected, () = nothing; `name`: of the header, for a header."""

    what: What
    name: str
    expected: tuple[str, ...]
    got: tuple[str, ...]

    def __str__(self) -> str:
        expected, got = (" | ".join(it) or "(absent)" for it in (self.expected, self.got))
        return f"{f'{self.what} {self.name}'.strip()}: expected {expected}, got {got}"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of one case; it passed when there are no failures."""

    file: str
    line: int
    case: str
    failures: tuple[Failure, ...]


def read_suite(data: bytes, name: str) -> Suite:
    """The cases of a file's bytes.

    Raises:
        PolicyError: with every problem, each with file, line and column.
    """
    source = load(data, name)
    if not isinstance(source.data, dict):
        text, fix = "a test file is a mapping", "start with: version: 1"
        raise PolicyError((Problem(text, fix, file=name, line=1, column=1),))
    if "rules" in source.data and "cases" not in source.data:
        fix = f"run the tests beside it: sidecar test --policy {name}"
        problem = Problem("this is a policy, not a test file", fix, file=name, line=1, column=1)
        raise PolicyError((problem,))
    try:
        file = _File.model_validate(source.data)
    except ValidationError as error:
        raise PolicyError(located(translate(error, _File), source)) from error
    problems = tuple(_case_problems(file.cases))
    if problems:
        raise PolicyError(located(problems, source))
    return Suite(source, file.policy, file.cases)


def _case_problems(cases: Sequence[Case]) -> Iterator[Problem]:
    seen: set[str] = set()
    for position, case in enumerate(cases):
        path: Path = ("cases", position)
        if case.name in seen:
            yield Problem(
                f"two cases are named {case.name!r}", "rename one of them", (*path, "name")
            )
        seen.add(case.name)
        if case.enforce_all and case.mode is not None:
            text = f"case {case.name!r} has both mode and enforce-all"
            yield Problem(text, "leave one of them out", (*path, "mode"))
        expect = case.expect
        if expect.violations is None and not expect.headers and expect.route is None:
            fix = "add violations, headers or route"
            yield Problem(f"case {case.name!r} expects nothing", fix, (*path, "expect"))


def run(suite: Suite, resolved: Resolved) -> tuple[CaseResult, ...]:
    """Judge all cases.

    Raises:
        PolicyError: a case names a rule or route that the policy does not have.
    """
    problems = tuple(_unknown(suite.cases, resolved))
    if problems:
        raise PolicyError(located(problems, suite.source))
    return tuple(_run(suite, position, resolved) for position in range(len(suite.cases)))


def _unknown(cases: Sequence[Case], resolved: Resolved) -> Iterator[Problem]:
    rules = {named.name for route in resolved.routes for named in route.rules}
    routes = [route.name for route in resolved.routes]
    for position, case in enumerate(cases):
        path: Path = ("cases", position, "expect")
        for index, violation in enumerate(case.expect.violations or ()):
            if (rule := violation.rule) not in rules:
                place = (*path, "violations", index, "rule")
                yield Problem(f"unknown rule {rule!r}", did_you_mean(rule, rules), place)
        if (name := case.expect.route) not in (None, *routes):
            yield Problem(f"unknown route {name!r}", did_you_mean(name, routes), (*path, "route"))


def _run(suite: Suite, position: int, resolved: Resolved) -> CaseResult:
    case = suite.cases[position]
    if case.mode is not None:
        policy = resolved.policy.model_copy(update={"mode": case.mode})
        resolved = dataclasses.replace(resolved, policy=policy)
    if case.enforce_all:
        resolved = all_enforced(resolved)
    asked, sent = case.request, case.response
    route = compile_policy(resolved).route(asked.host, asked.method, asked.path)
    request = (asked.method, asked.host, asked.path, asked.scheme, _raw(asked.headers))
    facts = Facts(*request, sent.status, _raw(sent.headers), asked.client)
    failures = tuple(_failures(case.expect, route.name, decide(route, facts)))
    line, _ = suite.source.values[("cases", position)]
    return CaseResult(suite.source.name, line, case.name, failures)


def all_enforced(resolved: Resolved) -> Resolved:
    """The policy with every mode at enforce, of itself, of routes and of rules; off stays off."""
    routes = [
        dataclasses.replace(
            route,
            mode="off" if route.mode == "off" else None,
            rules=tuple(
                dataclasses.replace(one, rule=one.rule.model_copy(update={"mode": "enforce"}))
                if one.rule.mode != "off"
                else one
                for one in route.rules
            ),
        )
        for route in resolved.routes
    ]
    policy = resolved.policy.model_copy(update={"mode": "enforce"})
    return dataclasses.replace(resolved, policy=policy, routes=tuple(routes))


def _raw(pairs: Iterable[tuple[str, str]]) -> RawFields:
    return [(name.encode(), value.encode()) for name, value in pairs]


def _failures(expect: Expect, route: str, decision: Decision) -> Iterator[Failure]:
    if expect.route not in (None, route):
        yield Failure("route", "", (str(expect.route),), (route,))
    if expect.violations is not None:
        yield from _violations(expect.violations, decision)
    for name, wanted in expect.headers.items():
        key = name.lower().encode()
        lines = (value for found, value in decision.fields if found.lower() == key)
        got = tuple(value.decode("latin-1") for value in lines)
        if got != wanted:
            yield Failure("header", name, wanted, got)


def _violations(expected: Sequence[Violation], decision: Decision) -> Iterator[Failure]:
    found = dict.fromkeys((finding.rule, finding.kind) for finding in decision.findings)
    wanted = {(one.rule, one.kind) for one in expected}
    for one in expected:
        if not any(one.rule == rule and one.kind in (None, kind) for rule, kind in found):
            yield Failure("violation", "", (f"{one.rule} {one.kind or ''}".strip(),), ())
    for rule, kind in found:
        if not {(rule, kind), (rule, None)} & wanted:
            yield Failure("violation", "", (), (f"{rule} {kind}",))


_NOT_XML = re.compile(r"[^\t\n\r -~]")


def junit(results: Iterable[CaseResult]) -> str:
    """The results as JUnit XML, one suite for each file."""
    root = Element("testsuites", name="sidecar test")
    suites: dict[str, list[CaseResult]] = {}
    for result in results:
        suites.setdefault(result.file, []).append(result)
    for file, held in suites.items():
        failed = sum(bool(result.failures) for result in held)
        counts = {"tests": str(len(held)), "failures": str(failed), "errors": "0", "skipped": "0"}
        suite = SubElement(root, "testsuite", {"name": _xml(file), **counts})
        for result in held:
            place = {"classname": _xml(file), "file": _xml(file), "line": str(result.line)}
            case = SubElement(suite, "testcase", {"name": _xml(result.case), **place})
            if result.failures:
                text = "\n".join(map(str, result.failures))
                SubElement(case, "failure", message=_xml(str(result.failures[0]))).text = _xml(text)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    return _NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def to_data(results: Iterable[CaseResult]) -> list[dict[str, Any]]:
    """The results for JSON."""
    return [dataclasses.asdict(result) | {"passed": not result.failures} for result in results]
