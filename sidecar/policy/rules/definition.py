"""Whether the keys of one rule go together: what it names, its action, and the value that the action takes.

Lives here: `definition_problems`. Must not know routes, layers, or whether a value is good.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.policy import headers
from sidecar.policy.model import Path, Problem, Rule
from sidecar.policy.rules.checks import value_text
from sidecar.policy.rules.ladder import ladder_problems

_OWN_VALUE = ("set", "default", "append", "merge")


def definition_problems(name: str, rule: Rule, path: Path) -> Iterator[Problem]:
    """What is missing or one too many among the keys of a rule, layers merged; `path` is where it is written."""
    yield from ladder_problems(name, rule, path)
    if rule.header and rule.cookie:
        yield Problem(
            f"rule {name!r} names both a header and a cookie", "make two rules of it", path
        )
        return
    if rule.cookie:
        yield from _cookie_rule_problems(name, rule, path)
        return
    if rule.attributes is not None:
        yield Problem("attributes belong to a cookie rule", "name a cookie", (*path, "attributes"))
    if not rule.header:
        yield Problem(f"rule {name!r} names no header", "add header: NAME (or cookie: NAME)", path)
        return
    if rule.action is None:
        yield Problem(
            f"rule {name!r} names no action",
            "add action: set, default, append, remove, merge, require or forbid",
            path,
        )
        return
    yield from _value_problems(rule, path)
    names = [header.lower() for header in rule.header]
    for header in rule.header:
        if names.count(header.lower()) > 1:
            yield Problem(
                f"rule {name!r} names {header.lower()} more than once",
                "name it once",
                (*path, "header"),
            )
        yield from _header_problems(rule, header, path)


def _cookie_rule_problems(name: str, rule: Rule, path: Path) -> Iterator[Problem]:
    if rule.action not in (None, "set", "require"):
        yield Problem(
            f"a cookie rule cannot {rule.action!r}", "use set or require", (*path, "action")
        )
    if rule.attributes is None or not rule.attributes.model_fields_set:
        yield Problem(
            f"rule {name!r} demands nothing of the cookie",
            "add attributes: {Secure: true}",
            path,
        )
    if rule.value is not None:
        yield Problem(
            "a cookie rule takes attributes, no value", "remove the value", (*path, "value")
        )
    if rule.widen is not None:
        yield Problem("only a merge can widen", "remove widen", (*path, "widen"))


def _value_problems(rule: Rule, path: Path) -> Iterator[Problem]:
    if rule.action in _OWN_VALUE and rule.value is None and rule.ladder is None:
        yield Problem(f"action {rule.action!r} needs a value", "add value: ...", path)
    elif rule.action in _OWN_VALUE and rule.value is not None and not value_text(rule.value):
        yield Problem(
            "the value is empty", "use remove, if the header should not be sent", (*path, "value")
        )
    if rule.widen is not None and rule.action != "merge":
        yield Problem(
            "only a merge can widen", "remove widen, or use action: merge", (*path, "widen")
        )
    if rule.action == "remove" and rule.value is not None:
        yield Problem(
            "action 'remove' takes no value",
            "remove the value, or use forbid to judge by value",
            (*path, "value"),
        )


def _header_problems(rule: Rule, header: str, path: Path) -> Iterator[Problem]:
    known = headers.get(header)
    if isinstance(rule.value, dict) and header.lower() not in headers.CSP_NAMES:
        yield Problem(
            f"{header} takes its value as text",
            "directives are for Content-Security-Policy",
            (*path, "value"),
        )
    if rule.action in ("set", "default", "merge") and header.lower() == "set-cookie":
        yield Problem(
            f"action {rule.action!r} would overwrite the service's cookies",
            "use a cookie rule, or append",
            (*path, "action"),
        )
    if rule.action == "merge" and header.lower() not in headers.MERGEABLE:
        yield Problem(f"{header} cannot be merged", "use set or default", (*path, "action"))
    if rule.action == "append" and known is not None and known.single:
        yield Problem(
            f"{header} may stand once only, a second copy breaks it",
            "use set or default",
            (*path, "action"),
        )
