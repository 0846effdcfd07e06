"""Nonces in policies: fixed ones, misspelt placeholders, caches that would keep a page's nonce."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sidecar.policy import csp, headers
from sidecar.policy.csp.sources import REQUEST_NONCE
from sidecar.policy.csp.table import NONCES_COUNT_IN
from sidecar.policy.engine.nonces import TARGETED, asks_for_nonce
from sidecar.policy.engine.resolve import NamedRule
from sidecar.policy.headers.tokens import parse_cache
from sidecar.policy.lint.findings import finding
from sidecar.policy.model import Match, Rule, When
from sidecar.policy.rules.classes import of_media_type
from sidecar.policy.terms import GIVING, WRITING, Problem

_WORD = re.compile(r"[^\s;,]+")
_NONCE = re.compile(r"(?i)['\"`]*nonce-")
_FIXED = re.compile(r"(?i)'nonce-")
_MEANT = re.compile(r"(?i)[{}$<>%\"`]|request|nonce-'?$")
"""What shows that a placeholder was meant, and no value."""
_SHARED = frozenset({"public", "s-maxage"})
_PAGES = frozenset({"html", "docs", "logout"})


def refused(rule: Rule) -> Iterator[Problem]:
    """A fixed nonce protects nothing, and a misspelt placeholder blocks every script."""
    text = rule.text
    if rule.action not in WRITING or headers.CSP_NAMES.isdisjoint(rule.names):
        return
    for word in dict.fromkeys(_WORD.findall(text)):
        if word == REQUEST_NONCE or not _NONCE.match(word):
            continue
        if _MEANT.search(word):
            yield finding("csp-nonce-misspelt", ("value",), word=word[:60])
        elif _FIXED.match(word):
            yield finding("csp-nonce-literal", ("value",))


def rule_problems(rule: Rule, match: Match | None) -> Iterator[Problem]:
    """What is weak or idle in a rule with a nonce; `match` is its route's, None = the default's."""
    text = rule.text
    others = [name for name in rule.header or () if name.lower() not in headers.CSP_NAMES]
    if others and REQUEST_NONCE in text and rule.action in WRITING:
        yield finding("nonce-elsewhere", ("value",), header=others[0])
    if rule.action not in WRITING or not asks_for_nonce(rule):
        return
    for policy in csp.parse(text):
        for one in policy.directives:
            if REQUEST_NONCE in one.values and one.name not in NONCES_COUNT_IN:
                yield finding("csp-nonce-idle", ("value",), directive=one.name)
    if rule.action == "merge" and not rule.widen:
        yield finding("csp-nonce-merged", ("action",))
    if beside := _beside_pages(rule.when, match):
        key = "value" if rule.when is None else "when"
        yield finding("csp-nonce-everywhere", (key,), others=beside)


def _beside_pages(when: When | None, match: Match | None) -> str:
    """What else a rule reaches that has no use for a nonce; "" when it is for pages."""
    if when is not None and when.response_class:
        return ", ".join(one for one in when.response_class if one not in _PAGES)
    if when is not None and when.content_type:
        return ", ".join(one for one in when.content_type if not _is_page(one))
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
                yield position, finding("csp-nonce-private", rule=named.name, header=header)


def _shares(rule: Rule) -> str:
    """The header by which a rule allows shared caches to keep a response; "" = none."""
    if rule.action not in GIVING:
        return ""
    for name in rule.header or ():
        if name.lower().encode() in TARGETED:
            return name
        said = parse_cache(rule.text)[0]
        if name.lower() == "cache-control" and said.keys() & _SHARED:
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
    """The classes that a condition on content names; empty = none, or media types without one."""
    if when.response_class:
        return frozenset(when.response_class)
    if when.content_type and not any("*" in media for media in when.content_type):
        kinds = [of_media_type(media.encode()) for media in when.content_type]
        return frozenset(kind for kind in kinds if kind) if all(kinds) else frozenset()
    return frozenset()
