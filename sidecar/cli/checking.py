"""The verb check: policy files, judged as `run` reads them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from sidecar.cli.options import PATH, format_options, read_bytes
from sidecar.cli.printing import as_json, complain, next_step, plain, problem_data, say, show
from sidecar.codes import table
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.problems import did_you_mean
from sidecar.policy.terms import Path as Place
from sidecar.policy.terms import PolicyError, Problem
from sidecar.policy.words import counted
from sidecar.runtime.settings_file import read_settings
from sidecar.sarif import Finding, log, place
from sidecar.source import lint_policy, load, located

SHOWN = 3
"""Findings that are shown of one rule; errors are always shown."""
_REFUSED = "policy-refused"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
_ORDER = {"error": 0, "warning": 1, "info": 2}


@click.command()
@click.argument("files", nargs=-1, type=PATH)
@click.option(
    "--config", type=PATH, help="Check this settings file too, and the certificates that it names."
)
@click.option(
    "--explain",
    shell_complete=lambda context, parameter, incomplete: codes(incomplete),
    metavar="CODE",
    help="Explain a finding's code: why, an example, the fix, the source.",
)
@click.option("--strict", is_flag=True, help="Exit 1 on warnings too.")
@click.option(
    "--notes",
    is_flag=True,
    help="Show notes too, which need no action; JSON and SARIF always hold them.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Show all findings on a rule, not only the three most serious.",
)
@format_options("text", "json", "sarif", "github", text="How findings are printed.")
def check(
    files: tuple[Path, ...],
    config: Path | None,
    explain: str | None,
    strict: bool,
    notes: bool,
    everything: bool,
    form: str,
) -> None:
    """Check policy files as `run` reads them.

    Each finding has its place and its fix.
    """
    if explain is not None:
        explain_code(explain, machine=form == "json")
        return
    if not files:
        raise click.UsageError("name a policy file: sidecar check policy.yaml")
    settings = read_settings(config, {}) if config else None
    timed = settings.timeouts.routes if settings else {}
    of_settings: tuple[Problem, ...] = ()
    if settings and config:
        from sidecar.proxy.certificates import examined  # most settings name none

        if found := examined(settings, datetime.now(UTC)):
            of_settings = located(found, load(config.read_bytes(), str(config)))
    checked = [_checked(file, config, timed) for file in files]
    problems = [*of_settings, *(problem for one in checked for problem in one.problems)]
    shown = [problem for problem in problems if notes or problem.severity != "info"]
    if form == "json":
        own = {"settings": {"file": str(config), "problems": as_data(of_settings)}}
        as_json((own if config else {}) | {"files": [_summary(one) for one in checked]})
    elif form == "sarif":
        as_json(sarif(problems))
    elif form == "github":
        annotate(shown)
    else:
        complain(of_settings)
        for one in checked:
            _show(one, notes=notes, limit=None if everything else SHOWN)
    failing = ("error", "warning") if strict else ("error",)
    sys.exit(1 if any(problem.severity in failing for problem in problems) else 0)


@dataclass(frozen=True, slots=True)
class _Checked:
    """One policy file: its text, the policy unless it is refused, and what was found."""

    file: Path
    text: str
    resolved: Resolved | None
    problems: tuple[Problem, ...]


def _checked(file: Path, config: Path | None, timed: Iterable[str]) -> _Checked:
    """What is found in a policy, and in settings that give routes of these names timeouts."""
    data = read_bytes(file, first="sidecar init")
    text = data.decode("utf-8", "replace")
    try:
        resolved, problems = lint_policy(data, str(file))
    except PolicyError as error:
        return _Checked(file, text, None, error.problems)
    names = [route.name for route in resolved.routes]
    unknown = [
        Problem(
            f"timeouts.routes: {file} has no route {name!r}",
            did_you_mean(name, names) or f"its routes: {', '.join(names)}",
            severity="warning",
            file=str(config),
        )
        for name in timed
        if name not in names
    ]
    return _Checked(file, text, resolved, (*unknown, *problems))


def _summary(one: _Checked) -> dict[str, Any]:
    options: dict[str, Any] = {"file": str(one.file), "ok": one.resolved is not None}
    if (found := one.resolved) is not None:
        rules = sorted({named.name for route in found.routes for named in route.rules})
        options |= {"revision": found.revision(), "mode": found.mode}
        options |= {"rules": rules, "routes": len(found.routes)}
    return {**options, "problems": as_data(one.problems)}


def _show(one: _Checked, *, notes: bool, limit: int | None) -> None:
    wanted = [problem for problem in one.problems if notes or problem.severity != "info"]
    shown, left = most_severe(wanted, limit)
    lines = one.text.splitlines()
    at = [lines[it.line - 1][:160] if 0 < it.line <= len(lines) else "" for it in shown]
    marks = [" " * (problem.column - 1) + "^" for problem in shown]
    complain(
        shown, [f"{line}\n{mark}" if line else "" for line, mark in zip(at, marks, strict=True)]
    )
    for rule, count in left.items():
        say(f"{one.file}: {count} more on {rule} (--all shows them)")
    code = next((problem.code for problem in shown if problem.code), "")
    if code:
        say(f"why, with an example: sidecar check --explain {code}")
    if one.resolved is None:
        next_step(f"correct it, then: sidecar check {one.file}")
        return
    data = _summary(one)
    parts = [f"revision {data['revision']}", f"mode {data['mode']}"]
    parts += [counted(len(data["rules"]), "rule"), counted(data["routes"], "route")]
    hidden = "" if notes else " (--notes shows them)"
    for severity, word, more in (("warning", "warning", ""), ("info", "note", hidden)):
        if count := sum(problem.severity == severity for problem in one.problems):
            parts.append(counted(count, word) + more)
    say(f"{one.file}: ok: {', '.join(parts)}")


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
    counts: Counter[Place] = Counter()
    left: Counter[str] = Counter()
    for problem in sorted(problems, key=lambda one: _ORDER[one.severity]):
        rule = _rule_of(problem)
        counts[rule] += 1
        if limit is None or not rule or problem.severity == "error" or counts[rule] <= limit:
            shown.append(problem)
        else:
            in_preset = rule[0] == "extends"
            named = problem.message.partition(",")[0] if in_preset else f"rule {str(rule[-1])!r}"
            left[named] += 1
    return shown, dict(left)


def _rule_of(problem: Problem) -> Place:
    """The path of the rule, or of the preset, that a finding is about; () = of none."""
    path = problem.path
    if path[:1] == ("extends",):
        return path[:2]
    at = path.index("rules") if "rules" in path else len(path)
    return path[: at + 2] if len(path) > at + 1 else ()


def codes(beginning: str) -> list[str]:
    """The codes that begin so, for the shell to complete."""
    return [name for name in table() if name.startswith(beginning)]


def explain_code(name: str, *, machine: bool) -> None:
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
