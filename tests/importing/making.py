"""Small steps that the tests of importers share: import a text, ask the policy for a response."""

from __future__ import annotations

import textwrap

from sidecar.importing.draft import Imported
from sidecar.importing.formats import convert
from sidecar.policy.engine.plan import Plan, compile_policy, decide
from sidecar.policy.rules.conditions import Facts
from sidecar.source import load_policy

Fields = list[tuple[str, str]]


def imported(form: str, text: str, **others: str) -> Imported:
    """A text of a format as a policy; further files by name, with _ for a dot."""
    name = {"traefik": "traefik.yaml", "ingress": "ingress.yaml", "caddy": "Caddyfile"}.get(
        form, "site.conf"
    )
    return convert(
        {
            name: textwrap.dedent(text),
            **{other.replace("_", "."): textwrap.dedent(more) for other, more in others.items()},
        },
        form,
    )


def enforced(policy: Imported) -> Plan:
    """The plan of a policy as if it were promoted whole."""
    return compile_policy(
        load_policy(
            policy.policy_yaml.replace("mode: report-only", "mode: enforce", 1).encode(),
            "policy.yaml",
        )
    )


def answered(
    plan: Plan | Imported,
    path: str = "/",
    *fields: tuple[str, str],
    status: int = 200,
    host: str = "example.com",
    scheme: str = "https",
    request: Fields | None = None,
) -> Fields:
    """The header lines that leave for a response of the service."""
    plan = enforced(plan) if isinstance(plan, Imported) else plan
    facts = Facts("GET", host, path, scheme, raw(request or []), status, raw(list(fields)))
    return [
        (name.decode(), value.decode())
        for name, value in decide(plan.route(host, "GET", path), facts).fields
    ]


def raw(fields: Fields) -> list[tuple[bytes, bytes]]:
    """Lines as on the wire."""
    return [(name.encode(), value.encode()) for name, value in fields]


def lost(policy: Imported) -> list[str]:
    """What could not be carried: line and message."""
    return [f"{note.line}: {note.message}" for note in policy.notes if note.severity == "warning"]


def differing(policy: Imported) -> list[str]:
    """What is carried with a difference: line and message."""
    return [f"{note.line}: {note.message}" for note in policy.notes if note.severity == "info"]
