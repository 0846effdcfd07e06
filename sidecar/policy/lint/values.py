"""One rule judged by itself: its value, its nonces, its scope, its conditions, its cookies.

The texts of all findings are in `findings.json`, a row for each code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.policy import csp, headers
from sidecar.policy.csp import weaknesses as csp_lint
from sidecar.policy.csp.sources import REQUEST_NONCE
from sidecar.policy.csp.table import NONCES_COUNT_IN
from sidecar.policy.data import read_table
from sidecar.policy.engine.nonces import asks_for_nonce
from sidecar.policy.faults import ROWS
from sidecar.policy.headers import cookies, tokens
from sidecar.policy.model import Attributes, Match, Rule, When
from sidecar.policy.rules.classes import of_media_type
from sidecar.policy.terms import GIVING, WRITING, Path, Problem, Severity

_ROWS = read_table("sidecar.policy.lint", "findings.json")
_WORD = re.compile(r"[^\s;,]+")
_NONCE = re.compile(r"(?i)['\"`]*nonce-")
_FIXED = re.compile(r"(?i)'nonce-")
_MEANT = re.compile(r"(?i)[{}$<>%\"`]|request|nonce-'?$")
"""What shows that a placeholder was meant, and no value."""
_PAGES = frozenset({"html", "docs", "logout"})
_LOGOUT = re.compile(r"(?:log|sign)[-_]?(?:out|off)", re.IGNORECASE)
_EMPTY_STATUS = frozenset({"204", "304"})


def finding(
    code: str, path: Path = (), *, severity: Severity | None = None, **words: object
) -> Problem:
    """The finding of a code; `words` fill its texts, `path` leads to the key at fault."""
    row = _ROWS[code]
    text, fix = (row[key].format(**words) for key in ("text", "fix"))
    return Problem(text, fix, path, severity or row["severity"], code=code)


def refusals(rule: Rule) -> Iterator[Problem]:
    """What would do harm if it ran."""
    yield from _refused_nonces(rule)
    if rule.cookie is not None and rule.attributes is not None and rule.action in (None, "set"):
        yield from _refused_cookies(rule.cookie, rule.attributes)


def rule_problems(rule: Rule, match: Match | None) -> Iterator[Problem]:
    """What is weak or idle in one complete rule; `match` is its route's, None = the default's."""
    yield from _never(rule)
    judges = rule.action in ("require", "forbid") or rule.mode == "report-only"
    if rule.share is not None and judges:
        yield finding("share-without-effect", ("share",))
    if rule.cookie is not None and rule.attributes is not None:
        yield from _cookies(rule.cookie, rule.attributes)
    for header in rule.header or ():
        if known := headers.meant(header):
            yield finding("header-misspelt", ("header",), header=header, known=known)
    for header in given_headers(rule):
        yield from _value(rule, header)
        yield from _upgrade(rule, header)
        if header.lower() == "strict-transport-security":
            yield from _hsts(rule.text)
    yield from _scope(rule, match)
    yield from _nonces(rule, match)


def given_headers(rule: Rule) -> tuple[str, ...]:
    """The headers that the rule gives a value."""
    return (rule.header or ()) if rule.action in GIVING else ()


def _value(rule: Rule, header: str) -> Iterator[Problem]:
    known, text = headers.get(header), rule.text
    is_csp = known is not None and known.grammar == "csp" and not known.deprecated
    for fault in csp_lint.csp_weaknesses(text) if is_csp else headers.header_faults(header, text):
        if fault.code == "csp-no-reports" and header.lower().endswith("-report-only"):
            continue  # said of every such header, with more weight
        row = ROWS[fault.code]
        is_beside = rule.action in ("merge", "append") and row.get("absent", False)
        is_info = row.get("severity") == "info" or is_beside
        text, fix = fault.text.removesuffix("."), fault.fix.removesuffix(".")
        severity: Severity = "info" if is_info else "warning"
        yield Problem(text, fix[:1].lower() + fix[1:], ("value",), severity, code=fault.code)


def _upgrade(rule: Rule, header: str) -> Iterator[Problem]:
    """Over plain http, loading all over https breaks pages without it (WebKit: localhost too)."""
    is_https = rule.when is not None and rule.when.scheme == "https"
    if header.lower() != "content-security-policy" or is_https:
        return
    if any(one.name == "upgrade-insecure-requests" for one in csp.directives(rule.text)):
        yield finding("csp-upgrade-over-http", ("value",))


def _hsts(text: str) -> Iterator[Problem]:
    said = tokens.parse_hsts(text)
    if said.preload:
        yield finding("hsts-preload", ("value",))
    if said.include_subdomains:
        yield finding("hsts-subdomains", ("value",))


def _scope(rule: Rule, match: Match | None) -> Iterator[Problem]:
    rows = [row for header in given_headers(rule) if (row := headers.get(header)) is not None]
    documents = [row.name for row in rows if row.scope == "documents" and not row.deprecated]
    when = rule.when
    narrow = when is not None and (when.response_class or when.content_type or when.status)
    if documents and match is None and not narrow:
        yield finding("document-header-everywhere", ("header",), headers=_listed(documents))
    if any(row.scope == "logout" for row in rows) and not _at_logout(rule.when, match):
        yield finding("site-data-everywhere", ("header",))


def _at_logout(when: When | None, match: Match | None) -> bool:
    if when is not None and when.response_class == ("logout",):
        return True
    paths = match.path if match is not None else None
    return paths is not None and all(map(_LOGOUT.search, paths))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _never(rule: Rule) -> Iterator[Problem]:
    """Conditions that cannot hold together, or under which there is nothing to do."""
    when = rule.when
    if when is None:
        return
    reason = _impossible(when)
    if when.scheme == "http":
        rows = [row for header in rule.header or () if (row := headers.get(header)) is not None]
        secured = rows and all(row.scope == "https" for row in rows)
        if secured and rule.action not in ("remove", "forbid"):
            reason = f"{rows[0].name} counts over HTTPS only"
        asked = rule.attributes.model_dump(exclude_none=True) if rule.attributes else {}
        if asked == {"secure": True}:
            reason = "Secure is written over HTTPS only"
    response = {name.lower(): pattern for name, pattern in (when.response or {}).items()}
    for header in rule.header or ():
        if rule.action in ("remove", "forbid") and response.get(header.lower()) is False:
            reason = f"there is no {header} to {rule.action}"
        if rule.action == "default" and response.get(header.lower(), False) is not False:
            reason = f"{header} is there already"
    if reason:
        yield finding("never-applies", ("when",), reason=reason)


def _impossible(when: When) -> str:
    classes = set(when.response_class or ())
    by_content = classes - {"logout", "download"} == classes != set()
    if (by_content or when.content_type) and when.status and _EMPTY_STATUS.issuperset(when.status):
        return f"a response of status {when.status[0]} has no Content-Type"
    if classes == {"logout"} and when.status and all(code[0] in "45" for code in when.status):
        return "a failed logout has no class"
    if by_content and when.content_type and not any("*" in media for media in when.content_type):
        carried = {of_media_type(media.encode()) for media in when.content_type}
        if not carried & (classes | ({"html", "api"} if "docs" in classes else set())):
            return f"{when.content_type[0]} is not of class {' or '.join(sorted(classes))}"
    return ""


def _cookies(pattern: str, asked: Attributes) -> Iterator[Problem]:
    if asked.http_only and "*" not in pattern and cookies.is_readable_csrf(pattern):
        yield finding("cookie-csrf-hidden", ("attributes", "HttpOnly"), cookie=pattern)
    weakened = []
    if asked.secure is False:
        weakened.append(("Secure", "the cookie may travel over plain HTTP"))
    if asked.http_only is False and not cookies.is_readable_csrf(pattern):
        weakened.append(("HttpOnly", "injected scripts can read the cookie"))
    for name, outcome in weakened:
        yield finding("cookie-weakened", ("attributes", name), attribute=name, outcome=outcome)


def _refused_cookies(pattern: str, asked: Attributes) -> Iterator[Problem]:
    """Demands that contradict what browsers want of such a cookie (RFC 6265bis)."""

    def refused(reason: str, key: str) -> Problem:
        return finding("cookie-refused", ("attributes", key), reason=reason)

    if asked.secure is False and asked.same_site == "None":
        yield refused("SameSite=None needs Secure", "SameSite")
    if asked.secure is False and asked.partitioned:
        yield refused("Partitioned needs Secure", "Partitioned")
    prefix = cookies.prefix_of(pattern)
    needs = f"names that begin with {prefix} need {cookies.PREFIXES.get(prefix)}"
    if prefix and asked.secure is False:
        yield refused(needs, "Secure")
    if "host-" in prefix and asked.path not in (None, "/"):
        yield refused(needs, "Path")
    if "http-" in prefix and asked.http_only is False:
        yield refused(needs, "HttpOnly")


def _refused_nonces(rule: Rule) -> Iterator[Problem]:
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


def _nonces(rule: Rule, match: Match | None) -> Iterator[Problem]:
    """What is weak or idle in a rule with a nonce; `match` is its route's, None = the default's."""
    text = rule.text
    others = [name for name in rule.header or () if name.lower() not in headers.CSP_NAMES]
    if others and REQUEST_NONCE in text and rule.action in WRITING:
        yield finding("nonce-elsewhere", ("value",), header=others[0])
    if rule.action not in WRITING or not asks_for_nonce(rule):
        return
    for one in csp.directives(text):
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
