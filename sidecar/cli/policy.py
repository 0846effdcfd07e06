"""The verbs about a policy as written and the headers in it: explain, schema, presets, headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sidecar.cli.options import HEADER, JSON, POLICY_TO_READ, ParsedOption, header_line, read_bytes
from sidecar.cli.printing import as_json, mode_text, plain, show, table
from sidecar.policy import headers
from sidecar.policy.data import read_table
from sidecar.policy.engine.explain import Explanation, explain
from sidecar.policy.engine.nonces import SOURCE
from sidecar.policy.engine.plan import Matched, compile_policy
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.faults import ROWS, Fault, FaultVerdict
from sidecar.policy.headers import tokens
from sidecar.policy.headers.table import ALL, DISCLOSURE, Grammar, Header, Repeats, Scope
from sidecar.policy.model import schema
from sidecar.policy.problems import did_you_mean
from sidecar.policy.rules.conditions import Facts, Finding, RawFields
from sidecar.policy.rules.matching import shown
from sidecar.policy.terms import MODES, Mode
from sidecar.policy.values import request_method, request_path
from sidecar.source import load_policy, preset_texts

_NONCE = (
    "another nonce in each response; the service receives it in a request header (forwarding.nonce)"
)
_WORDS = read_table("sidecar.cli", "headers.json")
"""Words for what the table of headers says; `codes`: how the codes of faults begin that a grammar
has; `short`: what people call headers.
"""
GRAMMARS: Mapping[Grammar, str] = _WORDS["grammar"]
SCOPES: Mapping[Scope, str] = _WORDS["scope"]
REPEATS: Mapping[Repeats, str] = _WORDS["repeats"]


def read_policy(file: Path) -> Resolved:
    """The complete policy of a file.

    Raises:
        PolicyError: with every problem.
        click.UsageError: the file cannot be read.
    """
    return load_policy(read_bytes(file, first="sidecar init"), str(file))


@click.command("explain")
@POLICY_TO_READ
@click.option(
    "--method",
    type=ParsedOption("text", request_method),
    default="GET",
    help="Method of the request.",
)
@click.option("--host", default="localhost", help="Host of the request.")
@click.option(
    "--path",
    type=ParsedOption("text", lambda text: request_path(str(text).partition("?")[0])),
    default="/",
    help="Path of the request; a query does not count.",
)
@click.option(
    "--scheme", type=click.Choice(("http", "https")), default="https", help="Scheme of the request."
)
@click.option(
    "--request-header",
    multiple=True,
    type=HEADER,
    metavar="NAME:VALUE",
    help="A header of the request; may be repeated.",
)
@click.option(
    "--status", type=click.IntRange(100, 599), default=200, help="Status of the service's response."
)
@click.option(
    "-H",
    "--header",
    multiple=True,
    type=HEADER,
    metavar="NAME:VALUE",
    help="A header of the service's response; may be repeated.",
)
@click.option(
    "--response",
    type=click.File("rb"),
    help="The response's head as `curl -si` prints it; - reads stdin.",
)
@click.option("--override", type=click.Choice(MODES), help="Assume this override of the mode.")
@JSON
def explain_verb(
    file: Path,
    method: str,
    host: str,
    path: str,
    scheme: str,
    request_header: tuple[tuple[str, str], ...],
    status: int,
    header: tuple[tuple[str, str], ...],
    response: Any,
    override: Mode | None,
    machine: bool,
) -> None:
    """Show what each rule would do to one response, and why."""
    fields = [_field(line) for line in header]
    if response is not None:
        status, fields = _head(response.read(1 << 20), fields)
    plan = compile_policy(read_policy(file), override=override)
    sent = [_field(line) for line in request_header]
    matched = plan.matched(host, method, path)
    data = explain(matched.route, Facts(method, host, path, scheme, sent, status, fields))
    if machine:
        as_json(
            {
                "route": data.route,
                "path": shown(matched.reading),
                "readings": [
                    {"path": shown(way), "route": route.name} for way, route in matched.ways
                ],
                "mode": plan.mode,
                "classes": data.classes,
                "before": data.before,
                "steps": [
                    {**asdict(step), "finding": _finding(step.finding)} for step in data.steps
                ],
                "after": data.after,
            }
        )
    else:
        _print(data, matched, plan.mode)


def _field(line: tuple[str, str]) -> tuple[bytes, bytes]:
    name, value = (part.encode("utf-8", "surrogateescape") for part in line)
    return name, value


def _head(raw: bytes, more: RawFields) -> tuple[int, RawFields]:
    status, rest = b"1xx", raw.replace(b"\r\n", b"\n")
    while status.startswith(b"1"):  # curl shows interim responses too
        first, _, rest = rest.partition(b"\n\n")
        head = first.split(b"\n")
        version, _, status = head[0].partition(b" ")
        status = status[:4].rstrip()
        if not version.startswith(b"HTTP/") or len(status) != 3 or not status.isdigit():
            raise click.UsageError("the response does not start with a status line; use `curl -si`")
    lines = [line.decode("utf-8", "surrogateescape") for line in head[1:] if line]
    try:
        return int(status), [*map(_field, map(header_line, lines)), *more]
    except ValueError as error:
        raise click.UsageError(f"--response: {error}") from error


def _shown(values: tuple[bytes, ...]) -> str:
    return ", ".join(value.decode("latin-1") for value in values)


def _finding(found: Finding | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {name: getattr(found, name) for name in ("kind", "action", "made", "before", "after")}


def _print(data: Explanation, matched: Matched, mode: Mode) -> None:
    where = ("route ", "bold"), data.route, ("   mode ", "bold"), mode_text(mode)
    what = ("   class ", "bold"), ", ".join(data.classes) or "none", ("   path ", "bold")
    show(*where, *what, shown(matched.reading))
    for way, route in matched.ways:
        if route is not matched.route:
            show(f"also read as {shown(way)}: route {route.name}", style="dim")
    show()
    rows = []
    for step in data.steps:
        found, now, then = step.finding, "", ""
        if found:
            now = _shown(found.before)
        if found and found.after is not None:
            then = _shown(found.after) or "(removed)"
        style = "green" if found and found.made else "yellow" if found else "dim"
        about = (step.rule, mode_text(step.mode), step.ceiling, step.header)
        rows.append((*about, Text(step.reason, style=style), now, then, step.origin))
    values = ("why", "service sends", "policy wants", "from")
    table("Rules in order", ("rule", "mode", "set by", "header", *values), rows)
    show()
    show("Who can tell whether a rule breaks the site", style="bold")
    by_rule = {step.rule: step.witnesses for step in data.steps}
    for rule, witnesses in by_rule.items():
        for witness in witnesses:
            way = f". {witness.next.replace('RULE', rule)}" if witness.next else ""
            show(f"  {rule}: {witness.kind}; {witness.why}{way}", soft_wrap=True)
    show()
    before, after = list(data.before), list(data.after)
    show("Response that leaves", style="bold")
    for field in (*after, *(field for field in before if field not in after)):
        text = plain(f"{field[0].decode('latin-1')}: {field[1].decode('latin-1')}")
        if field not in after:
            show(f"- {text}", style="red")
        else:
            new = field not in before
            show(f"+ {text}" if new else f"  {text}", style="green" if new else "")
    if any(SOURCE in value for _, value in after):
        show(f"{SOURCE.decode()}: {_NONCE}", style="dim")


@click.command("schema")
def schema_verb() -> None:
    """Print the JSON Schema of the policy file, for editors."""
    as_json(schema())


@click.command()
@click.argument("name", required=False)
@JSON
def presets(name: str | None, machine: bool) -> None:
    """List the shipped presets, or print one as it is written."""
    texts = preset_texts()
    if name is not None and name not in texts:
        raise click.UsageError(f"unknown preset {name!r}; known: {', '.join(texts)}")
    if name is not None:
        click.echo(texts[name], nl=False)
        return
    loaded = {known: load_policy(text.encode(), f"{known}.yaml") for known, text in texts.items()}
    rows = [
        (known, len(resolved.routes[-1].rules), resolved.policy.reason)
        for known, resolved in loaded.items()
    ]
    if machine:
        as_json([{"name": known, "rules": rules, "about": about} for known, rules, about in rows])
    else:
        table("", ("preset", "rules", "about"), rows)


@click.command("headers")
@click.argument("name", required=False)
@JSON
def headers_verb(name: str | None, machine: bool) -> None:
    """Explain security headers: values, pitfalls, specification.

    NAME is a header, or what it is called for short, as csp. Without it, all are listed.
    """
    if name is None:
        if machine:
            as_json([_summary(row) for row in ALL])
        else:
            rows = (
                (row.name, row.group, SCOPES[row.scope], REPEATS[row.repeats], row.strong)
                for row in ALL
            )
            table("", ("header", "for", "matters on", "copies", "recommended"), rows)
        return
    row = headers.get(_WORDS["short"].get(name.lower(), name))
    if row is None:
        if name.lower() in DISCLOSURE:
            raise click.UsageError(
                f"{name} is on OWASP's list of headers to remove, and nothing more is known of it;"
                f" write a rule: {{header: {name}, action: remove}}"
            )
        hint = did_you_mean(name, (one.name for one in ALL)) or "see: sidecar headers"
        raise click.UsageError(f"unknown header {name!r}; {hint}")
    judged = _judged(row)
    if machine:
        keys = ("code", "verdict", "why")
        as_json(_summary(row) | {"judged": [dict(zip(keys, one, strict=True)) for one in judged]})
    else:
        _show_header(row, judged)


def _summary(row: Header) -> dict[str, Any]:
    said = row._asdict()
    del said["tokens"]
    return said | {
        "once": row.single,
        "merge": row.key in headers.MERGEABLE,
        "values": _values(row),
        "weak": [{"value": value, "why": why} for value, why in row.weak],
    }


def _values(row: Header) -> list[str]:
    """The values that browsers know, where they are a closed list."""
    return [*tokens.REFERRER_POLICIES] if row.grammar == "referrer" else [*row.tokens]


def _judged(row: Header) -> list[tuple[str, FaultVerdict, str]]:
    """What is judged in the header's value: code, verdict, and why."""
    begin = _WORDS["codes"].get(row.grammar)
    found = [Fault(code, "...", "...") for code in ROWS if begin and code.startswith(begin)]
    return [(fault.code, fault.verdict, fault.text) for fault in found]


def _show_header(row: Header, judged: list[tuple[str, FaultVerdict, str]]) -> None:
    show((row.name, "bold"), ("  deprecated" if row.deprecated else "", "red"))
    show(row.purpose)
    facts = (
        ("grammar", GRAMMARS[row.grammar]),
        ("matters on", SCOPES[row.scope]),
        ("copies", REPEATS[row.repeats]),
        ("merge", "by its own grammar" if row.key in headers.MERGEABLE else ""),
        ("recommended", row.strong),
        ("values", ", ".join(_values(row))),
        *(("weak", f"{value}: {why}") for value, why in row.weak),
        ("reports only", row.report_only or ""),
        ("may break", row.breaks),
        ("specification", row.spec),
    )
    show()
    table("", ("", ""), [(Text(key, style="bold"), text) for key, text in facts if text])
    if judged:
        show()
        table("What is judged in a value", ("code", "verdict", "why"), judged)
