"""What one rule says, judged by itself: its value, its scope, its conditions, its cookies.

Lives here: findings whose path leads to a key of the rule. Must not know other rules or routes, nor
where in a file a rule stands (see `lint`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.policy import csp, headers
from sidecar.policy.csp import weaknesses as csp_lint
from sidecar.policy.faults import Fault
from sidecar.policy.headers import cookies, tokens
from sidecar.policy.headers.table import Header
from sidecar.policy.lint import nonces as lint_nonces
from sidecar.policy.model import Attributes, Match, Path, Problem, Rule, Severity, When
from sidecar.policy.rules.checks import value_text
from sidecar.policy.rules.classes import of_media_type

_GIVING = ("set", "default", "append", "merge")
_LOGOUT = re.compile(r"(?:log|sign)[-_]?(?:out|off)", re.IGNORECASE)
_EMPTY_STATUS = frozenset({"204", "304"})
_INFO = frozenset(
    {*csp_lint.INFO, headers.HeaderFaultKind.DISCLOSES, tokens.TokenFaultKind.HSTS_SHORT}
)  # a short max-age is the first step of the ladder


def refusals(rule: Rule) -> Iterator[Problem]:
    """What would do harm if it ran."""
    yield from lint_nonces.refused(rule)
    if rule.cookie is not None and rule.attributes is not None and rule.action in (None, "set"):
        yield from _refused_cookies(rule.cookie, rule.attributes)


def rule_problems(rule: Rule, match: Match | None) -> Iterator[Problem]:
    """What is weak or without effect in one complete rule; `match` is its route's, None = the
    default route.
    """
    yield from _never(rule)
    if rule.share is not None and (
        rule.action in ("require", "forbid") or rule.mode == "report-only"
    ):
        yield _problem(
            "share-without-effect",
            "info",
            "the share counts only for what is enforced",
            "remove it",
            ("share",),
        )
    if rule.cookie is not None and rule.attributes is not None:
        yield from _cookies(rule.cookie, rule.attributes)
    for header in given_headers(rule):
        yield from _value(rule, header)
        yield from _upgrade(rule, header)
        if header.lower() == "strict-transport-security":
            yield from _hsts(value_text(rule.value or ""))
    yield from _scope(rule, match)
    yield from lint_nonces.rule_problems(rule, match)


def given_headers(rule: Rule) -> tuple[str, ...]:
    """The headers that the rule gives a value."""
    return (rule.header or ()) if rule.action in _GIVING else ()


def _problem(code: str, severity: Severity, message: str, fix: str, path: Path = ()) -> Problem:
    return Problem(message, fix, path, severity, code=code)


def _value(rule: Rule, header: str) -> Iterator[Problem]:
    row, text = headers.get(header), value_text(rule.value or "")
    is_csp = row is not None and row.grammar == "csp" and not row.deprecated
    for fault in csp_lint.csp_weaknesses(text) if is_csp else headers.header_faults(header, text):
        if fault.kind is csp_lint.Weakness.NO_REPORTS and header.lower().endswith("-report-only"):
            continue  # said of every such header, with more weight
        yield as_problem(fault, merged=rule.action == "merge")


def as_problem(fault: Fault, *, merged: bool = False) -> Problem:
    """A fault of a value as a finding at the value."""
    is_info = fault.kind in _INFO or (merged and fault.kind in csp_lint.ABSENT)
    fix = fault.fix.removesuffix(".")
    return _problem(
        fault.kind.value,
        "info" if is_info else "warning",
        fault.text.removesuffix("."),
        fix[:1].lower() + fix[1:],
        ("value",),
    )


def _upgrade(rule: Rule, header: str) -> Iterator[Problem]:
    """Over plain http the demand to load everything over https breaks pages that have no https
    (WebKit: localhost too).
    """
    is_https = rule.when is not None and rule.when.scheme == "https"
    if header.lower() != "content-security-policy" or is_https:
        return
    if any(one.get("upgrade-insecure-requests") for one in csp.parse(value_text(rule.value or ""))):
        yield _problem(
            "csp-upgrade-over-http",
            "warning",
            "upgrade-insecure-requests is written over plain http too, where browsers then load"
            " nothing from a host without https",
            "move it to a rule of its own: action: append, value: upgrade-insecure-requests, when:"
            " {scheme: https}",
            ("value",),
        )


def _hsts(text: str) -> Iterator[Problem]:
    said = tokens.parse_hsts(text)
    if said.preload:
        yield _problem(
            "hsts-preload",
            "warning",
            "preload asks for a place in the browsers' own lists, which takes months to undo for"
            " the whole domain",
            "remove preload unless every host of the domain will keep HTTPS",
            ("value",),
        )
    if said.include_subdomains:
        yield _problem(
            "hsts-subdomains",
            "info",
            "includeSubDomains binds every host below this one to HTTPS",
            "see that all of them have it",
            ("value",),
        )


def _scope(rule: Rule, match: Match | None) -> Iterator[Problem]:
    rows = [row for header in given_headers(rule) if (row := headers.get(header)) is not None]
    documents = [row.name for row in rows if row.scope == "documents" and not row.deprecated]
    if documents and match is None and not _narrows(rule.when):
        yield _problem(
            "document-header-everywhere",
            "info",
            f"{_listed(documents)} matters on pages and is written on every response",
            "add when: {class: [html, docs]}",
            ("header",),
        )
    if any(row.scope == "logout" for row in rows) and not _at_logout(rule.when, match):
        yield _problem(
            "site-data-everywhere",
            "warning",
            "Clear-Site-Data is written on more than the response to a logout, and empties the"
            " browser each time",
            "add when: {class: logout}",
            ("header",),
        )


def _narrows(when: When | None) -> bool:
    return when is not None and bool(when.response_class or when.content_type or when.status)


def _at_logout(when: When | None, match: Match | None) -> bool:
    if when is not None and when.response_class == ("logout",):
        return True
    return (
        match is not None
        and match.path is not None
        and all(_LOGOUT.search(path) for path in match.path)
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _never(rule: Rule) -> Iterator[Problem]:
    """Conditions that cannot hold together, or under which there is nothing to do."""
    when = rule.when
    if when is None:
        return
    rows: list[Header] = [
        row for header in rule.header or () if (row := headers.get(header)) is not None
    ]
    reason = _impossible(when)
    if (
        when.scheme == "http"
        and rows
        and all(row.scope == "https" for row in rows)
        and rule.action not in ("remove", "forbid")
    ):
        reason = f"{rows[0].name} counts over HTTPS only"
    if (
        when.scheme == "http"
        and rule.attributes is not None
        and rule.attributes.model_dump(exclude_none=True) == {"secure": True}
    ):
        reason = "Secure is written over HTTPS only"
    asked = {name.lower(): pattern for name, pattern in (when.response or {}).items()}
    for header in rule.header or ():
        if rule.action in ("remove", "forbid") and asked.get(header.lower()) is False:
            reason = f"there is no {header} to {rule.action}"
        if rule.action == "default" and asked.get(header.lower(), False) is not False:
            reason = f"{header} stands already"
    if reason:
        yield _problem(
            "never-applies",
            "warning",
            f"it never has an effect: {reason}",
            "correct the condition",
            ("when",),
        )


def _impossible(when: When) -> str:
    classes = set(when.response_class or ())
    by_content = classes - {"logout", "download"} == classes != set()
    if (by_content or when.content_type) and when.status and _EMPTY_STATUS.issuperset(when.status):
        return f"a response of status {when.status[0]} has no Content-Type"
    if classes == {"logout"} and when.status and all(code[0] in "45" for code in when.status):
        return "a logout that failed is of no class"
    if by_content and when.content_type and not any("*" in media for media in when.content_type):
        carried = {of_media_type(media.encode()) for media in when.content_type}
        if not carried & (classes | ({"html", "api"} if "docs" in classes else set())):
            return f"{when.content_type[0]} is not of class {' or '.join(sorted(classes))}"
    return ""


def _cookies(pattern: str, asked: Attributes) -> Iterator[Problem]:
    if asked.http_only and "*" not in pattern and cookies.is_readable_csrf(pattern):
        yield _problem(
            "cookie-csrf-hidden",
            "warning",
            f"scripts copy the cookie {pattern} into their requests and could no longer read it",
            "remove HttpOnly, unless the token also stands in the page",
            ("attributes", "HttpOnly"),
        )
    if asked.secure is False:
        yield _problem(
            "cookie-weakened",
            "warning",
            "Secure is taken away, so the cookie may travel over plain HTTP",
            "remove it",
            ("attributes", "Secure"),
        )
    if asked.http_only is False and not cookies.is_readable_csrf(pattern):
        yield _problem(
            "cookie-weakened",
            "warning",
            "HttpOnly is taken away, so injected scripts can read the cookie",
            "remove it",
            ("attributes", "HttpOnly"),
        )


def _refused_cookies(pattern: str, asked: Attributes) -> Iterator[Problem]:
    """Demands that contradict what browsers want of such a cookie (RFC 6265bis)."""

    def refused(reason: str, key: str) -> Problem:
        return _problem(
            "cookie-refused",
            "error",
            f"browsers refuse the cookie: {reason}",
            "change one of the two",
            ("attributes", key),
        )

    if asked.secure is False and asked.same_site == "None":
        yield refused("SameSite=None needs Secure", "SameSite")
    if asked.secure is False and asked.partitioned:
        yield refused("Partitioned needs Secure", "Partitioned")
    prefix = next((prefix for prefix in cookies.PREFIXES if pattern.lower().startswith(prefix)), "")
    if prefix and asked.secure is False:
        yield refused(f"names that begin so need {cookies.PREFIXES[prefix]}", "Secure")
    if "host-" in prefix and asked.path not in (None, "/"):
        yield refused(f"names that begin so need {cookies.PREFIXES[prefix]}", "Path")
    if "http-" in prefix and asked.http_only is False:
        yield refused(f"names that begin so need {cookies.PREFIXES[prefix]}", "HttpOnly")
