"""The verbs that try a policy out on paper: diff, test."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sidecar.baseline import responses
from sidecar.baseline.file import read_baseline
from sidecar.cli.files import read_bytes, read_har
from sidecar.cli.options import FILE, JSON, NEW_FILE, PATH, format_options
from sidecar.cli.policy import read_policy
from sidecar.cli.printing import as_json, mode_text, next_step, refused, say, show, table
from sidecar.files import write_file
from sidecar.policy.engine.compare import Comparison, PolicyEffect, RuleChange, compare, effects
from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.headers.shapes import Lines
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
        revisions = {"old": before.revision(), "new": after.revision()}
        as_json({"same": not differs} | revisions | _data(found, changed, len(seen)))
    elif form == "markdown":
        count = len(seen) if asked else None
        click.echo(_markdown(found, changed, count), nl=False)
    else:
        _print_meaning(found)
        _print_effects(changed, len(seen), asked=asked)
        if not differs:
            say(f"both mean the same (revision {after.revision()})")
    sys.exit(1 if differs else 0)


def _data(found: Comparison, changed: Sequence[PolicyEffect], count: int) -> dict[str, Any]:
    return {
        **asdict(found),
        "more": [_place(change) for change in found.more],
        "less": [_place(change) for change in found.less],
        "responses": count,
        "effects": [asdict(effect) for effect in changed],
    }


def _seen(baseline: Path | None, har: Path | None) -> list[Facts]:
    found: list[Facts] = []
    if baseline is not None:
        cells = read_baseline(read_bytes(baseline), str(baseline)).cells
        found += [facts for cell in cells for facts in responses(cell)]
    if har is not None:
        found += [one.facts() for one in read_har(har)]
    return found


def _markdown(found: Comparison, changed: Sequence[PolicyEffect], responses: int | None) -> str:
    """For a pull request; `responses`: how many were compared, None = none were given."""
    facts = {"found": found, "changed": changed, "responses": responses, "most": _MOST}
    return page("sidecar.cli", "diff.md.jinja", grouped=_by_change(found.rules), **facts)


def _place(change: RuleChange) -> str:
    return f"{change.route}/{change.rule}"


def _print_meaning(found: Comparison) -> None:
    for key in found.about:
        was, now = key.before or "(nothing)", key.after or "(nothing)"
        parts = (f"{key.key}: ", "bold"), (was, "red"), " -> ", (now, "green")
        show(*parts)
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
            modes = (mode_text(change.before or "-"), mode_text(change.after or "-"))
            rows.append((change.rule, _routes(routes), change.what, *modes, _keys(change)))
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


def _routes(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _keys(change: RuleChange) -> str:
    shown = (key for key in change.keys if key.key != "mode" or change.before == change.after)
    return "\n".join(f"{key.key}: {key.before or '-'} -> {key.after or '-'}" for key in shown)


def _print_effects(changed: Sequence[PolicyEffect], count: int, *, asked: bool) -> None:
    if not asked:
        return
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


def _lines(lines: Lines) -> str:
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
    expected, got = (" | ".join(lines) or "(absent)" for lines in (failure.expected, failure.got))
    pairs = zip(expected, got, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    mark = f"\n             {' ' * same}^" if failure.expected and failure.got else ""
    return Text.assemble(
        f"  {subject}\n",
        (f"  - expected {expected}\n", "green"),
        (f"  + got      {got}", "red"),
        (mark, "yellow"),
    )
