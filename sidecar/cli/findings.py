"""What `check` finds, as text for people, GitHub annotations, JSON or SARIF.

Must not know how anything is judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import click

from sidecar.cli.printing import plain, problem_data
from sidecar.policy.model import Problem
from sidecar.sarif import log

_REFUSED = "policy-refused"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def as_data(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Problems for machines; findings of lint have a stable code beside them."""
    return [
        problem_data(problem) | ({"code": problem.code} if problem.code else {})
        for problem in problems
    ]


def sarif(problems: Iterable[Problem]) -> dict[str, Any]:
    """A SARIF log with a result for each problem, at its place in the file."""
    found = tuple(problems)
    codes = sorted({_code(problem) for problem in found})
    rules = [
        {"id": code, "shortDescription": {"text": f"{code.replace('-', ' ').capitalize()}."}}
        for code in codes
    ]
    return log(rules, [_result(problem) for problem in found])


def _code(problem: Problem) -> str:
    return problem.code or _REFUSED


def _result(problem: Problem) -> dict[str, Any]:
    text = f"{problem.message}; {problem.fix}" if problem.fix else problem.message
    region = {"startLine": max(problem.line, 1), "startColumn": max(problem.column, 1)}
    # Without line and column: the same finding keeps its print when lines are added above it.
    print_of = "\n".join((problem.file, _code(problem), *map(str, problem.path), problem.message))
    return {
        "ruleId": _code(problem),
        "level": _LEVELS[problem.severity],
        "message": {"text": text},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": problem.file}, "region": region}}
        ],
        "partialFingerprints": {"finding/v1": hashlib.sha256(print_of.encode()).hexdigest()[:32]},
    }


def annotate(problems: Iterable[Problem]) -> None:
    """Workflow commands on stdout, which GitHub shows beside the line."""
    for problem in problems:
        place = f"file={_property(problem.file)},line={problem.line},col={problem.column},title={_property(_code(problem))}"
        text = f"{problem.message}; {problem.fix}" if problem.fix else problem.message
        click.echo(f"::{_COMMANDS[problem.severity]} {place}::{_escaped(plain(text))}")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
