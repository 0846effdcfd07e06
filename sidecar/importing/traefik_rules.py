"""Traefik's router rules that a policy can express: Host, Path, PathPrefix, PathRegexp, &&, ||.

A rule is read as the Python expression of the same shape, which has the same precedence, and is
never run. Facts: doc.traefik.io on routers.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from sidecar.importing.paths import ALL, Pattern, meet
from sidecar.importing.regexes import path_patterns

_TOKEN = re.compile(r"`([^`]*)`|\"((?:\\.|[^\"\\])*)\"|(&&)|(\|\|)|[\w\s(),]+|(.)", re.DOTALL)
MAX_RULE = 4_000
MAX_ALTERNATIVES = 100


@dataclass(frozen=True, slots=True)
class RuleAlternative:
    """One alternative of a rule: these hosts (() = all) and these paths."""

    hosts: tuple[str, ...]
    patterns: tuple[Pattern, ...]


class _Inexpressible(ValueError):  # noqa: N818 - no error of the rule, but no policy expresses it
    pass


def rule_alternatives(rule: str, lines: tuple[str, ...]) -> list[RuleAlternative] | None:
    """The alternatives of a rule; None when a policy cannot express it."""
    try:
        text = _TOKEN.sub(_in_python, rule[:MAX_RULE])
        return _alternatives(ast.parse(f"({text})", mode="eval").body, lines)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _in_python(token: re.Match[str]) -> str:
    """A part of a rule in Python's words."""
    if token[3] or token[4]:
        return " and " if token[3] else " or "
    if token[5]:
        raise _Inexpressible
    text = next((text for text in token.groups()[:2] if text is not None), None)
    return token[0] if text is None else repr(text)


def _alternatives(node: ast.expr, lines: tuple[str, ...]) -> list[RuleAlternative]:
    if isinstance(node, ast.BoolOp):
        parts = [_alternatives(value, lines) for value in node.values]
        found = parts[0]
        for part in parts[1:]:
            if isinstance(node.op, ast.Or):
                found = [*found, *part]
            else:
                found = [both for one in found for two in part for both in _joined(one, two)]
            if len(found) > MAX_ALTERNATIVES:
                raise _Inexpressible
        return found
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        raise _Inexpressible
    values = [value.value for value in node.args if isinstance(value, ast.Constant)]
    name, texts = node.func.id, [value for value in values if isinstance(value, str)]
    if len(texts) != len(node.args):
        raise _Inexpressible
    if name == "Host":
        return [RuleAlternative(tuple(text.lower() for text in texts), (ALL,))]
    plain = all(text.startswith("/") and not set("{*") & set(text) for text in texts)
    patterns: tuple[Pattern, ...] | None = None
    if name in ("Path", "PathPrefix") and plain:
        tail = "" if name == "PathPrefix" else None
        patterns = tuple(Pattern(text, tail, lines) for text in texts)
    elif name == "PathRegexp" and len(texts) == 1:
        patterns = path_patterns(texts[0], lines)
    if patterns is None:
        raise _Inexpressible
    return [RuleAlternative((), patterns)]


def _joined(one: RuleAlternative, two: RuleAlternative) -> list[RuleAlternative]:
    hosts = one.hosts or two.hosts
    if one.hosts and two.hosts:
        hosts = tuple(host for host in one.hosts if host in two.hosts)
        if not hosts:
            return []
    met = (meet(first, second) for first in one.patterns for second in two.patterns)
    patterns = tuple(dict.fromkeys(found for both in met for found in both))
    return [RuleAlternative(hosts, patterns)] if patterns else []
