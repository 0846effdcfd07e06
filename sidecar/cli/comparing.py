"""The verbs that try a policy out on paper: diff, test."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import takewhile
from pathlib import Path

import click
from rich.text import Text

from sidecar.baseline import responses
from sidecar.baseline.file import read_baseline
from sidecar.cli.options import FILE, JSON, NEW_FILE, PATH, format_options, read_bytes, read_har
from sidecar.cli.policy import read_policy
from sidecar.cli.printing import (
    as_json,
    mode_text,
    next_step,
    refused,
    say,
    show,
    table,
)
from sidecar.files import write_file
from sidecar.policy.engine.compare import Comparison, PolicyEffect, RuleChange, compare, effects
from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.terms import PolicyError
from sidecar.policy.words import counted
from sidecar.rollout.cases import CaseResult, Failure, junit, read_suite, to_data
from sidecar.rollout.cases import run as run_cases
from sidecar.templates import page

_MOST = 20
"""Effects that are shown in Markdown: a comment has an end."""


@click.command("diff")
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@click.option(
    "--baseline", type=FILE, help="Show what would become of the responses of this baseline."
)
@click.option(
    "--har", type=FILE, help="Show what would become of the responses of this HTTP archive."
)
@format_options(
    *("text", "json", "markdown"),
    text="How the difference is printed; markdown is for a pull request.",
)
def diff_verb(old: Path, new: Path, *, baseline: Path | None, har: Path | None, form: str) -> None:
    """Compare two policies by meaning and effect. Exit 0: the same, 1: they differ, 2: an error."""
    try:
        before, after = read_policy(old), read_policy(new)
        seen = _seen(baseline, har)
    except PolicyError as error:
        refused(error.problems)
        sys.exit(2)
    found = compare(before, after)
    changed = effects(compile_policy(before), compile_policy(after), seen)
    differs = not found.same or bool(changed)
    asked = baseline is not None or har is not None
    if form == "json":
        as_json(
            {
                "same": not differs,
                "old": before.revision(),
                "new": after.revision(),
                **asdict(found),
                "more": [f"{change.route}/{change.rule}" for change in found.more],
                "less": [f"{change.route}/{change.rule}" for change in found.less],
                "responses": len(seen),
                "effects": [asdict(effect) for effect in changed],
            }
        )
    elif form == "markdown":
        facts = {"found": found, "changed": changed, "grouped": _by_change(found.rules)}
        facts |= {"responses": len(seen) if asked else None, "most": _MOST}
        click.echo(page("sidecar.cli", "diff.md.jinja", **facts), nl=False)
    else:
        _print_meaning(found)
        if asked:
            _print_effects(changed, len(seen))
        if not differs:
            say(f"both mean the same (revision {after.revision()})")
    sys.exit(1 if differs else 0)


def _seen(baseline: Path | None, har: Path | None) -> list[Facts]:
    found: list[Facts] = []
    if baseline is not None:
        cells = read_baseline(read_bytes(baseline), str(baseline)).cells
        found += [facts for cell in cells for facts in responses(cell)]
    if har is not None:
        found += [one.facts() for one in read_har(har)]
    return found


def _print_meaning(found: Comparison) -> None:
    for key in found.about:
        was, now = key.before or "(nothing)", key.after or "(nothing)"
        show((f"{key.key}: ", "bold"), (was, "red"), " -> ", (now, "green"))
    for route in found.routes:
        keys = (f"{key.key} {key.before or '-'} -> {key.after or '-'}" for key in route.keys)
        said = f"{route.what}: {'; '.join(keys)}"
        show((f"route {route.route} ", "bold"), said)
    if found.order:
        order = ", ".join(found.order)
        show(("routes are tried in another order: ", "bold"), order)
    for name in found.reordered:
        show(f"the rules of route {name} are judged in another order")
    for shadow in found.shadowed:
        text = f"route {shadow.route} is never reached: {shadow.by} takes all its requests before"
        show(text, style="yellow")
    if found.rules:
        rows = []
        for change, routes in _by_change(found.rules):
            where = ", ".join(routes[:4])
            where += f" and {len(routes) - 4} more" if len(routes) > 4 else ""
            modes = (mode_text(change.before or "-"), mode_text(change.after or "-"))
            says = "\n".join(
                f"{key.key}: {key.before or '-'} -> {key.after or '-'}"
                for key in change.keys
                if key.key != "mode" or change.before == change.after
            )
            rows.append((change.rule, where, change.what, *modes, says))
        table("", ("rule", "on routes", "change", "was", "is", "says"), rows)
    for title, changes, style in (
        ("NEW enforces more", found.more, "green"),
        ("NEW enforces less", found.less, "yellow"),
    ):
        if changes:
            rules = dict.fromkeys(change.rule for change in changes)
            show((f"{title}: ", f"bold {style}"), ", ".join(rules))


def _by_change(changes: Iterable[RuleChange]) -> list[tuple[RuleChange, list[str]]]:
    """Equal changes of one rule together, with the routes that they are on."""
    found: dict[RuleChange, list[str]] = {}
    for change in changes:
        found.setdefault(replace(change, route=""), []).append(change.route)
    return list(found.items())


def _print_effects(changed: Sequence[PolicyEffect], count: int) -> None:
    total = sum(effect.responses for effect in changed)
    show(f"\nOf {counted(count, 'response')}, {total} would differ", style="bold")
    for effect in changed:
        moved = effect.before != effect.after
        route = f"{effect.before} -> {effect.after}" if moved else effect.after
        seen = f"  {counted(effect.responses, 'response')}, as {effect.example}"
        show((f"\nroute {route}", "bold"), seen)
        for header in effect.headers:
            show(f"  - {header.header}: {_lines(header.before)}", style="red")
            now = f"  + {header.header}: {_lines(header.after)}"
            weaker = f"   weaker: {header.weaker}" if header.weaker else ""
            show((now, "green"), (weaker, "yellow"))
        silent = ("no longer reported", effect.silent)
        for title, complaints in (("reported now", effect.reported), silent):
            if complaints:
                names = (f"{one.rule} {one.kind} ({one.header})" for one in complaints)
                show(f"  {title}: {', '.join(names)}")


def _lines(lines: Sequence[str]) -> str:
    return " | ".join(lines) or "(absent)"


@click.command("test")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--policy",
    type=PATH,
    default=Path("policy.yaml"),
    envvar="SIDECAR_POLICY",
    help="Without FILES: run every *.test.yaml beside this policy.",
)
@click.option(
    "--junit", "report", type=NEW_FILE, help="Write the results as JUnit XML to this file."
)
@JSON
def cases_verb(
    files: tuple[Path, ...], policy: Path, *, report: Path | None, machine: bool
) -> None:
    """Run the tests of policies (*.test.yaml) on declared responses."""
    found = [
        file
        for given in files or (policy.parent,)
        for file in (sorted(given.glob("*.test.yaml")) if given.is_dir() else [given])
    ]
    if not found:
        where = ", ".join(map(str, files)) or policy.parent
        fix = "a first one is written by: sidecar init"
        raise click.UsageError(f"there is no *.test.yaml in {where}; {fix}")
    results: list[CaseResult] = []
    broken: list[str] = []
    for file in found:
        try:
            suite = read_suite(read_bytes(file), str(file))
            results += run_cases(suite, read_policy(file.parent / suite.policy))
        except PolicyError as error:
            broken += map(str, error.problems)
            refused(error.problems)
    if report is not None:
        write_file(report, junit(results))
    failed = sum(bool(result.failures) for result in results)
    passed = len(results) - failed
    if machine:
        counts = {"passed": passed, "failed": failed, "problems": broken}
        as_json({**counts, "cases": to_data(results)})
    else:
        _print_results(results)
        more = f"; {counted(len(broken), 'problem')}" if broken else ""
        say(f"{counted(len(results), 'case')}: {passed} passed, {failed} failed{more}")
        if failed:
            next_step("sidecar explain says why, rule by rule, for any response")
    sys.exit(1 if failed or broken else 0)


def _print_results(results: Sequence[CaseResult]) -> None:
    passed, failed = Text("pass", style="green"), Text("FAIL", style="red")
    rows = [
        (failed if one.failures else passed, one.case, f"{one.file}:{one.line}") for one in results
    ]
    if rows:
        table("", ("", "case", "where"), rows)
    for result in (result for result in results if result.failures):
        show()
        where = f"  {result.file}:{result.line}"
        show(("FAIL ", "red"), (result.case, "bold"), where)
        for failure in result.failures:
            show(_marked(failure))


def _marked(failure: Failure) -> Text:
    """Expected and got, one below the other, with a mark under the first difference."""
    if failure.what == "violation" and failure.expected:
        return Text(f"  violation not found: {failure.expected[0]}", style="red")
    if failure.what == "violation":
        return Text(f"  violation not expected: {failure.got[0]}", style="red")
    subject = f"{failure.what} {failure.name}".strip()
    expected, got = map(_lines, (failure.expected, failure.got))
    pairs = zip(expected, got, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    mark = f"\n             {' ' * same}^" if failure.expected and failure.got else ""
    return Text.assemble(
        f"  {subject}\n",
        (f"  - expected {expected}\n", "green"),
        (f"  + got      {got}", "red"),
        (mark, "yellow"),
    )
