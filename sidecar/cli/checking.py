"""The verb check: policy files, judged as `run` reads them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from sidecar.cli import findings
from sidecar.cli.files import read_bytes
from sidecar.cli.options import PATH, format_options
from sidecar.cli.printing import as_json, complain, next_step, say
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.problems import did_you_mean
from sidecar.policy.terms import PolicyError, Problem
from sidecar.policy.words import counted
from sidecar.runtime.settings_file import read_settings
from sidecar.settings import Settings
from sidecar.source import lint_policy, load, located

SHOWN = 3
"""Findings that are shown of one rule; errors are always shown."""


@click.command()
@click.argument("files", nargs=-1, type=PATH)
@click.option(
    "--config", type=PATH, help="Check this settings file too, and the certificates that it names."
)
@click.option(
    "--explain",
    shell_complete=lambda context, parameter, incomplete: findings.codes(incomplete),
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
        findings.explain(explain, machine=form == "json")
        return
    if not files:
        raise click.UsageError("name a policy file: sidecar check policy.yaml")
    settings = read_settings(config, {}) if config else None
    timed = settings.timeouts.routes if settings else {}
    of_settings = _certificates(settings, config) if settings and config else ()
    checked = [_checked(file, config, timed) for file in files]
    problems = [*of_settings, *(problem for one in checked for problem in one.problems)]
    shown = [problem for problem in problems if notes or problem.severity != "info"]
    if form == "json":
        own = {"settings": {"file": str(config), "problems": findings.as_data(of_settings)}}
        as_json((own if config else {}) | {"files": [_summary(one) for one in checked]})
    elif form == "sarif":
        as_json(findings.sarif(problems))
    elif form == "github":
        findings.annotate(shown)
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


def _certificates(settings: Settings, config: Path) -> tuple[Problem, ...]:
    """What is wrong with the certificates that a settings file names, with their places in it."""
    from sidecar.proxy.certificates import examined  # most settings name none

    found = examined(settings, datetime.now(UTC))
    return located(found, load(config.read_bytes(), str(config))) if found else ()


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
    return {**options, "problems": findings.as_data(one.problems)}


def _show(one: _Checked, *, notes: bool, limit: int | None) -> None:
    wanted = [problem for problem in one.problems if notes or problem.severity != "info"]
    shown, left = findings.most_severe(wanted, limit)
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
