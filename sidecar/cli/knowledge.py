"""The verb headers: what is known of each response header."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click
from rich.text import Text

from sidecar.cli.options import JSON
from sidecar.cli.printing import as_json, out, table
from sidecar.policy import faults, headers
from sidecar.policy.csp import table as csp_table
from sidecar.policy.csp import weaknesses as csp_lint
from sidecar.policy.data import read_table
from sidecar.policy.headers import cookies, fields, tokens
from sidecar.policy.headers.table import ALL, DISCLOSURE, Grammar, Header, Repeats, Scope
from sidecar.policy.problems import did_you_mean

_WORDS = read_table("sidecar.cli", "headers.json")
GRAMMARS: Mapping[Grammar, str] = _WORDS["grammar"]
SCOPES: Mapping[Scope, str] = _WORDS["scope"]
REPEATS: Mapping[Repeats, str] = _WORDS["repeats"]
_KINDS: Mapping[Grammar, tuple[str, tuple[type[faults.FaultKind], ...]]] = {
    "csp": ("csp-", (csp_table.CspFaultKind, csp_lint.Weakness)),
    "permissions": ("pp-", (fields.FieldFaultKind,)),
    "endpoints": ("reporting-", (fields.FieldFaultKind,)),
    "integrity": ("integrity-", (fields.FieldFaultKind,)),
    "hsts": ("hsts-", (tokens.TokenFaultKind,)),
    "referrer": ("referrer-", (tokens.TokenFaultKind,)),
    "cache": ("cache-", (tokens.TokenFaultKind,)),
    "site-data": ("site-data-", (tokens.TokenFaultKind,)),
    "cookie": ("cookie-", (cookies.CookieFaultKind,)),
}
"""Grammars with faults of their own: the prefix of their codes, and the lists that hold them."""


@click.command("headers")
@click.argument("name", required=False)
@JSON
def headers_verb(name: str | None, machine: bool) -> None:
    """Show what is known of security headers, or of one: values, pitfalls, specification."""
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
    row = headers.get(name)
    if row is None:
        if name.lower() in DISCLOSURE:
            raise click.UsageError(
                f"{name} is on OWASP's list of headers to remove, and nothing more is known of it;"
                f" write a rule: {{header: {name}, action: remove}}"
            )
        hint = did_you_mean(name, (one.name for one in ALL)) or "see: sidecar headers"
        raise click.UsageError(f"unknown header {name!r}; {hint}")
    if machine:
        as_json(_whole(row))
    else:
        _tell(row)


def _summary(row: Header) -> dict[str, Any]:
    return {
        "name": row.name,
        "group": row.group,
        "purpose": row.purpose,
        "grammar": row.grammar,
        "scope": row.scope,
        "repeats": row.repeats,
        "once": row.single,
        "merge": row.key in headers.MERGEABLE,
        "strong": row.strong,
        "values": _values(row),
        "weak": [{"value": value, "why": why} for value, why in row.weak],
        "report_only": row.report_only,
        "breaks": row.breaks,
        "deprecated": row.deprecated,
        "spec": row.spec,
    }


def _values(row: Header) -> list[str]:
    """The values that browsers know, where they are a closed list."""
    return [*tokens.REFERRER_POLICIES] if row.grammar == "referrer" else [*row.tokens]


def _whole(row: Header) -> dict[str, Any]:
    kinds = [(kind.value, kind.verdict, _text(kind)) for kind in _kinds(row)]
    judged = [{"code": code, "verdict": verdict, "why": why} for code, verdict, why in kinds]
    return _summary(row) | {"judged": judged}


def _kinds(row: Header) -> Iterable[faults.FaultKind]:
    prefix, lists = _KINDS.get(row.grammar, ("", ()))
    return (kind for kinds in lists for kind in kinds if kind.value.startswith(prefix))


def _text(kind: faults.FaultKind) -> str:
    return kind.text.format(part="...", hint="...")


def _tell(row: Header) -> None:
    console = out()
    console.print(
        Text.assemble((row.name, "bold"), ("  deprecated" if row.deprecated else "", "red"))
    )
    console.print(row.purpose)
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
    console.print()
    table("", ("", ""), [(Text(key, style="bold"), text) for key, text in facts if text])
    if judged := [(kind.value, kind.verdict, _text(kind)) for kind in _kinds(row)]:
        console.print()
        table("What is judged in a value", ("code", "verdict", "why"), judged)


VERBS = (headers_verb,)
