"""The verb headers: what is known of each response header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from sidecar.cli.options import JSON
from sidecar.cli.printing import as_json, show, table
from sidecar.policy import headers
from sidecar.policy.data import read_table
from sidecar.policy.faults import ROWS, Fault, FaultVerdict
from sidecar.policy.headers import tokens
from sidecar.policy.headers.table import ALL, DISCLOSURE, Grammar, Header, Repeats, Scope
from sidecar.policy.problems import did_you_mean

_WORDS = read_table("sidecar.cli", "headers.json")
"""Words for what the table of headers says; `codes`: how the codes of faults begin that a grammar
has; `short`: what people call headers.
"""
GRAMMARS: Mapping[Grammar, str] = _WORDS["grammar"]
SCOPES: Mapping[Scope, str] = _WORDS["scope"]
REPEATS: Mapping[Repeats, str] = _WORDS["repeats"]


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
        _show(row, judged)


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


def _show(row: Header, judged: list[tuple[str, FaultVerdict, str]]) -> None:
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
