"""A fix: a policy rule for a finding, as data and as YAML text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.audit.oshp import recommended
from sidecar.policy.headers.table import Header
from sidecar.scalars import Value, flow, scalar

_WIDTH = 110
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_PAGES: Mapping[str, Value] = {"class": ("html", "docs")}
_POLICED: Mapping[str, Value] = {"class": "html"}
"""A strict policy leaves API documentation pages blank; they need one of their own."""
_DYNAMIC: Mapping[str, Value] = {"class": ("html", "api")}
"""Static files stay cacheable."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A rule by name; `breaks` says what it may break when it is enforced ("" = nothing known)."""

    name: str
    rule: Mapping[str, Value]
    breaks: str = ""

    @property
    def yaml(self) -> str:
        """The rule as text below `rules:`, without indentation; on one line where it fits."""
        line = f"{scalar(self.name)}: {flow(self.rule)}"
        return line if len(line) <= _WIDTH else "\n".join(_lines({self.name: self.rule}))


def rule_name(header: str) -> str:
    """The preset's name for the rule on a header, or the header's own in lower case."""
    names = {one.header.lower(): one.rule for one in recommended()}
    return names.get(header.lower(), header.lower())


def for_header(row: Header, *, present: bool) -> Fix | None:
    """A rule that sets the strongest value, or removes an outdated or revealing header.

    None where it depends on the service.
    """
    if row.deprecated or row.group == "disclosure":
        return Fix(rule_name(row.name), {"header": row.name, "action": "remove"})
    if not row.strong:
        return None
    # Upgrades over plain http break pages that have no https: they need a rule of their own.
    value = row.strong.removesuffix("; upgrade-insecure-requests")
    action = "set" if present else "default"
    rule: dict[str, Value] = {"header": row.name, "action": action, "value": value}
    if row.grammar == "cache":
        rule["when"] = _DYNAMIC
    elif row.scope == "documents":
        rule["when"] = _POLICED if row.grammar == "csp" else _PAGES
    elif row.scope == "https":
        rule["when"] = {"scheme": "https"}
    return Fix(rule_name(row.name), rule, row.breaks)


def for_policy(directives: Mapping[str, tuple[str, ...]]) -> Fix:
    """The rule that adds what a Content-Security-Policy says nothing of."""
    name, breaks = "Content-Security-Policy", "Frames, forms and plugins that it does not allow."
    rule: Mapping[str, Value] = {"header": name, "action": "merge", "value": directives}
    return Fix(rule_name(name), {**rule, "when": _POLICED}, breaks)


def for_cookie(name: str, attributes: Mapping[str, str | bool], breaks: str) -> Fix | None:
    """The rule that adds these attributes to one cookie; None for names that no rule can hold."""
    if not attributes or not re.fullmatch(r"[!-~]{1,256}", name):
        return None
    words = _NOT_IN_NAMES.sub("-", name).strip("-.")[:50] or "unnamed"
    return Fix(f"cookie-{words}", {"cookie": name, "attributes": dict(attributes)}, breaks)


def removal(*names: str) -> Fix:
    """The rule that removes names that reveal too much."""
    return Fix("disclosure", {"header": names, "action": "remove"})


def _lines(mapping: Mapping[str, Value], indent: str = "") -> list[str]:
    lines = []
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{scalar(key)}:", *_lines(value, f"{indent}  ")]
        else:
            lines.append(f"{indent}{scalar(key)}: {flow(value)}")
    return lines
