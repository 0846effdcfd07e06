"""What `check` finds, as GitHub annotations, JSON or SARIF, and the meaning of its codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import click

from sidecar.cli.printing import as_json, plain, problem_data, show
from sidecar.codes import table
from sidecar.policy.problems import did_you_mean
from sidecar.policy.terms import Path, Problem
from sidecar.sarif import Finding, log, place

_REFUSED = "policy-refused"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def as_data(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Problems for machines; findings of lint have a stable code too."""
    return [
        problem_data(problem) | ({"code": problem.code} if problem.code else {})
        for problem in problems
    ]


def sarif(problems: Iterable[Problem]) -> dict[str, Any]:
    """A SARIF log with a result for each problem, at its place in the file."""
    return log(map(_finding, problems))


def _finding(problem: Problem) -> Finding:
    code = _code(problem)
    about: dict[str, Any] = {
        "shortDescription": {"text": f"{code.replace('-', ' ').capitalize()}."}
    }
    if row := table().get(code):
        about["fullDescription"] = {"text": row.why}
        if row.url.startswith("https://"):
            about["helpUri"] = row.url
    region = {"startLine": max(problem.line, 1), "startColumn": max(problem.column, 1)}
    # Without line and column: the same finding keeps its print when lines are added above it.
    same = (problem.file, code, *map(str, problem.path), problem.message)
    level, text = _LEVELS[problem.severity], _text(problem)
    return Finding(code, about, level, text, place(problem.file, **region), same)


def _text(problem: Problem) -> str:
    return f"{problem.message}; {problem.fix}" if problem.fix else problem.message


def most_severe(
    problems: Iterable[Problem], limit: int | None
) -> tuple[list[Problem], dict[str, int]]:
    """Errors first, then warnings, then infos, in the order of the file; at most `limit` of one
    rule.

    Errors, and findings of no rule, are never left out. Also: how many were left out, by rule.
    """
    shown: list[Problem] = []
    counts: Counter[Path] = Counter()
    left: Counter[str] = Counter()
    for problem in sorted(problems, key=lambda one: _ORDER[one.severity]):
        rule = _rule_of(problem)
        counts[rule] += 1
        if limit is None or not rule or problem.severity == "error" or counts[rule] <= limit:
            shown.append(problem)
        else:
            left[_named(problem, rule)] += 1
    return shown, dict(left)


def _rule_of(problem: Problem) -> Path:
    """The path of the rule, or of the preset, that a finding is about; () = of none."""
    path = problem.path
    if path[:1] == ("extends",):
        return path[:2]
    at = path.index("rules") if "rules" in path else len(path)
    return path[: at + 2] if len(path) > at + 1 else ()


def _named(problem: Problem, rule: Path) -> str:
    if rule[0] == "extends":
        return problem.message.partition(",")[0]
    return f"rule {str(rule[-1])!r}"


def codes(beginning: str) -> list[str]:
    """The codes that begin so, for the shell to complete."""
    return [name for name in table() if name.startswith(beginning)]


def explain(name: str, *, machine: bool) -> None:
    """What a code means, on stdout; an unknown one is a usage error that names the nearest."""
    row = table().get(name)
    if row is None:
        near = did_you_mean(name, table()) or "docs/codes.md lists them"
        raise click.UsageError(f"unknown code {name!r}; {near}")
    found = row.finding()
    if machine:
        severity = found.severity if found else None
        wrong, right = (list(it.lines) if it else [] for it in (row.wrong, row.right))
        examples = {"wrong": wrong, "says": row.says(), "right": right}
        about = {"code": row.name, "severity": severity, "why": row.why}
        as_json({**about, **examples, "source": row.source, "url": row.url})
        return
    show((row.name, "bold"), f"  {found.severity}" if found else "")
    show(f"\n{row.why}\n")
    for title, example in (("wrong", row.wrong), ("right", row.right)):
        for at, line in enumerate(example.lines if example else ()):
            show(f"{'' if at else title:8}{line}", soft_wrap=True)
        if title == "wrong" and found:
            show(f"{'':8}{row.says()}", style="yellow", soft_wrap=True)
    show(f"source  {row.source}: {row.url}", soft_wrap=True)


_ORDER = {"error": 0, "warning": 1, "info": 2}


def _code(problem: Problem) -> str:
    return problem.code or _REFUSED


def annotate(problems: Iterable[Problem]) -> None:
    """Workflow commands on stdout, which GitHub shows beside the line."""
    for problem in problems:
        title = _property(_code(problem))
        where = (
            f"file={_property(problem.file)},line={problem.line},col={problem.column},title={title}"
        )
        text = _escaped(plain(_text(problem)))
        click.echo(f"::{_COMMANDS[problem.severity]} {where}::{text}")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
