"""What policies say of nonces: fixed ones, misspelt placeholders, and caches that would keep a page
with its nonce.

Lives here: findings on `'nonce-{request}'`. Must not know where in a file a rule stands (see
`lint`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sidecar.policy import csp, headers
from sidecar.policy.csp.sources import REQUEST_NONCE
from sidecar.policy.engine.nonces import TARGETED, asks_for_nonce
from sidecar.policy.engine.resolve import NamedRule
from sidecar.policy.headers.tokens import parse_cache
from sidecar.policy.model import WRITING, Match, Path, Problem, Rule, Severity, When
from sidecar.policy.rules.checks import value_text
from sidecar.policy.rules.classes import of_media_type

_WORD = re.compile(r"[^\s;,]+")
_NONCE = re.compile(r"(?i)['\"`]*nonce-")
_FIXED = re.compile(r"(?i)'nonce-")
_MEANT = re.compile(r"(?i)[{}$<>%\"`]|request|nonce-'?$")
"""What shows that a placeholder was meant, and no value."""
_COUNTS = frozenset(
    {
        "default-src",
        "script-src",
        "script-src-elem",
        "script-src-attr",
        "style-src",
        "style-src-elem",
        "style-src-attr",
    }
)
"""Directives in which browsers look at nonces (CSP3 section 6.7.2.3)."""
_SHARED = frozenset({"public", "s-maxage"})
_PAGES = frozenset({"html", "docs", "logout"})


def refused(rule: Rule) -> Iterator[Problem]:
    """A fixed nonce protects nothing, and a misspelt placeholder blocks every script."""
    text = value_text(rule.value or "")
    if rule.action not in WRITING or not any(
        header.lower() in headers.CSP_NAMES for header in rule.header or ()
    ):
        return
    for word in dict.fromkeys(_WORD.findall(text)):
        if word == REQUEST_NONCE or not _NONCE.match(word):
            continue
        if _MEANT.search(word):
            yield _problem(
                "csp-nonce-misspelt",
                "error",
                f"{word[:60]} is no source, so every inline script would be blocked",
                f"write {REQUEST_NONCE}, with single quotes and in lower case",
                ("value",),
            )
        elif _FIXED.match(word):
            yield _problem(
                "csp-nonce-literal",
                "error",
                "a nonce in a policy is the same in every response, so whoever reads one page can"
                " use it on the next",
                f"write {REQUEST_NONCE} for a fresh one in each response",
                ("value",),
            )


def rule_problems(rule: Rule, match: Match | None) -> Iterator[Problem]:
    """What is weak or without effect in a rule with a nonce; `match` is its route's, None = the
    default route.
    """
    text = value_text(rule.value or "")
    others = [name for name in rule.header or () if name.lower() not in headers.CSP_NAMES]
    if others and REQUEST_NONCE in text and rule.action in WRITING:
        yield _problem(
            "nonce-elsewhere",
            "warning",
            f"{others[0]} is sent with {REQUEST_NONCE} as it stands",
            "only Content-Security-Policy takes a nonce of each response",
            ("value",),
        )
    if rule.action not in WRITING or not asks_for_nonce(rule):
        return
    for policy in csp.parse(text):
        for one in policy.directives:
            if REQUEST_NONCE in one.values and one.name not in _COUNTS:
                yield _problem(
                    "csp-nonce-idle",
                    "warning",
                    f"browsers look at no nonce in {one.name}",
                    "write it in script-src or style-src",
                    ("value",),
                )
    if rule.action == "merge" and not rule.widen:
        yield _problem(
            "csp-nonce-merged",
            "warning",
            "a merge allows only what the service's own policy allows too, and no policy allows"
            " this nonce but one that the service makes with it",
            "add widen: true",
            ("action",),
        )
    if beside := _beside_pages(rule.when, match):
        yield _problem(
            "csp-nonce-everywhere",
            "warning",
            f"a nonce makes a response private, and the rule reaches {beside}, which caches should"
            " keep for all",
            "add when: {class: html}",
            ("when",) if rule.when is not None else ("value",),
        )


def _beside_pages(when: When | None, match: Match | None) -> str:
    """What else a rule reaches that has no use for a nonce; "" when it is for pages."""
    if when is not None and when.response_class:
        return ", ".join(one for one in when.response_class if one not in _PAGES)
    if when is not None and when.content_type:
        media = [one for one in when.content_type if not _is_page(one)]
        return ", ".join(media)
    return "styles, scripts and images too" if match is None else ""


def _is_page(media: str) -> bool:
    return "*" not in media and (
        of_media_type(media.encode()) == "html" or media.lower() == "image/svg+xml"
    )


def clashes(rules: Sequence[NamedRule]) -> Iterator[tuple[int, Problem]]:
    """Rules by which shared caches could keep what a nonce makes private, by their position."""
    for named in rules:
        if named.rule.action not in WRITING or not asks_for_nonce(named.rule):
            continue
        for position, other in enumerate(rules):
            header = _shares(other.rule)
            if header and not _apart(named.rule.when, other.rule.when):
                yield (
                    position,
                    _problem(
                        "csp-nonce-private",
                        "warning",
                        f"where {named.name!r} writes a nonce, the response is private whatever"
                        f" {header} says",
                        "give it a condition of its own, as when: {class: static}",
                    ),
                )


def _shares(rule: Rule) -> str:
    """The header by which a rule lets shared caches keep a response; "" where it does not."""
    if rule.action not in WRITING or rule.action == "remove":
        return ""
    for name in rule.header or ():
        if name.lower().encode() in TARGETED:
            return name
        if name.lower() == "cache-control":
            said = parse_cache(value_text(rule.value or ""))[0]
            if said.keys() & _SHARED:
                return name
    return ""


def _apart(one: When | None, other: When | None) -> bool:
    """Whether two conditions never hold together, as far as they themselves tell."""
    if one is None or other is None:
        return False
    if one.scheme and other.scheme and one.scheme != other.scheme:
        return True
    mine, theirs = _kinds(one), _kinds(other)
    return bool(mine and theirs and not mine & theirs)


def _kinds(when: When) -> frozenset[str]:
    """The classes that a condition on content names; empty where it names none, or media types
    that have none.
    """
    if when.response_class:
        return frozenset(when.response_class)
    if when.content_type and not any("*" in media for media in when.content_type):
        kinds = [of_media_type(media.encode()) for media in when.content_type]
        return frozenset(kind for kind in kinds if kind) if all(kinds) else frozenset()
    return frozenset()


def _problem(code: str, severity: Severity, message: str, fix: str, path: Path = ()) -> Problem:
    return Problem(message, fix, path, severity, code=code)
