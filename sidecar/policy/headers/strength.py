"""Whether one value of a header protects less than another.

Where a header can be merged, the law of the merge decides: a value that changes when the other is
merged into it had allowed more. Values may be masked (see `shapes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from sidecar.policy import csp, headers
from sidecar.policy.csp.sources import REQUEST_NONCE
from sidecar.policy.csp.table import REPORTING
from sidecar.policy.headers import cookies, tokens
from sidecar.policy.headers.shapes import Lines
from sidecar.policy.headers.table import Header

_MASK, _NONCE = "'nonce-...'", "'nonce-AAAAAAAAAAAAAAAAAAAAAAAA'"
_KEEPING = frozenset({"no-store", "private", "no-cache"})
_LOSSES = {
    "permissions": "it allows more features or origins",
    "cache": "caches may keep more, or for longer",
}
_REFERRERS = tuple(tokens.REFERRER_POLICIES)
_SAME_SITE = ("strict", "lax", "none")


def is_protective(name: str) -> bool:
    """Whether the header protects whoever reads the response, as far as is known."""
    row = headers.get(name)
    return (
        row is not None
        and row.group in ("content", "transport", "framing", "cross-origin", "session", "caching")
        and not row.deprecated
        and not reports_only(name)
    )


def grants(name: str) -> bool:
    """Whether the header grants access, so that its absence is stricter."""
    row = headers.get(name)
    return row is not None and (row.group == "cors" or row.key == "timing-allow-origin")


def reports_only(name: str) -> bool:
    """Whether browsers only report by this header and block nothing."""
    return name.lower().endswith("-report-only")


def weaker(name: str, before: Lines, after: Lines) -> str:
    """Why the lines `after` protect less than `before`; "" where they do not, or it is unknown."""
    row = headers.get(name)
    if row is None or reports_only(name) or not before or not after or row.grammar == "cookie":
        return ""
    if row.repeats == "invalid" and len(before) == 1 < len(after):
        return "browsers ignore it where it stands more than once"
    old, new = _in_force(row, before), _in_force(row, after)
    if old == new:
        return ""
    if grants(name) and row.grammar != "number":
        return _by_grant(old, new)
    return _BY_GRAMMAR.get(row.grammar, _by_word)(row, old, new)


def _in_force(row: Header, lines: Lines) -> str:
    """The one value that browsers make of all lines."""
    one = headers.collapse(row.name, lines) if row.single else None
    text = one if one is not None else ", ".join(lines)
    return text.replace(_MASK, _NONCE).replace(REQUEST_NONCE, _NONCE)


def _by_csp(_row: Header, old: str, new: str) -> str:
    kept = [
        csp.CspPolicy(tuple(one for one in policy.directives if one.name not in REPORTING))
        for policy in csp.parse(old)
    ]
    written = csp.parse(new)
    tightened = csp.parse(csp.merge_text(new, csp.serialise(*kept)))
    if tightened == written:
        return ""
    for one in _directives(kept):
        if not any(csp.effective(policy, one.name) for policy in written):
            return f"{one.name} is no longer set"
    known = {*_directives(written)}
    wider = next((one.name for one in _directives(tightened) if one not in known), "it")
    return f"{wider} allows more"


def _directives(policies: Iterable[csp.CspPolicy]) -> Iterator[csp.CspDirective]:
    return (one for policy in policies for one in policy.directives)


def _by_merge(row: Header, old: str, new: str) -> str:
    if row.grammar == "cache" and not _KEEPING & tokens.parse_cache(old)[0].keys():
        return ""
    if headers.merge(row.name, new, old) == new:
        return ""
    return _LOSSES.get(row.grammar, "it asks for less than before")


def _by_hsts(_row: Header, old: str, new: str) -> str:
    was, now = tokens.parse_hsts(old), tokens.parse_hsts(new)
    if not was.valid:
        return ""
    if not now.valid or (now.max_age or 0) < (was.max_age or 0):
        return "max-age is shorter"
    if was.include_subdomains and not now.include_subdomains:
        return "includeSubDomains is gone"
    return ""


def _by_referrer(_row: Header, old: str, new: str) -> str:
    was, now = tokens.referrer_policy(old), tokens.referrer_policy(new)
    if was is None or (now is not None and _REFERRERS.index(now) <= _REFERRERS.index(was)):
        return ""
    return "it tells other sites more"


def _by_grant(old: str, new: str) -> str:
    was, now = ({word.lower() for word in tokens.words(text)} for text in (old, new))
    more = sorted(now - was)
    return "" if "*" in was or not more else f"it gives leave to {more[0][:80]}"


def _by_word(row: Header, old: str, new: str) -> str:
    """By the place in the row's closed list, or its strong value; else by the new one's faults."""
    was, now = (text.lower().partition(";")[0].strip() for text in (old, new))
    if was in row.tokens or (row.strong and old.lower() == row.strong.lower()):
        if {was, now} <= {*row.tokens} and row.tokens.index(now) <= row.tokens.index(was):
            return ""
        return f"{new[:40]} protects less than {old[:40]}"
    known = {fault.code for fault in headers.header_faults(row.name, old)}
    faults = (one for one in headers.header_faults(row.name, new) if one.code not in known)
    return next((fault.text for fault in faults), "")


_BY_GRAMMAR: Mapping[str, Callable[[Header, str, str], str]] = {
    "csp": _by_csp,
    **dict.fromkeys(
        ("permissions", "integrity", "dictionary", "site-data", "vary", "cache"), _by_merge
    ),
    "hsts": _by_hsts,
    "referrer": _by_referrer,
}


def weaker_cookie(before: str, after: str) -> str:
    """Why the attributes `after` of a cookie protect less; both as a Set-Cookie line has them."""
    was, now = (cookies.parse(f"c=; {attributes}") for attributes in (before, after))
    for name in ("Secure", "HttpOnly", "Partitioned"):
        if was.get(name.lower()) is not None and now.get(name.lower()) is None:
            return f"{name} is gone"
    if _same_site(now) > _same_site(was):
        return "SameSite is weaker"
    if now.get("domain") and now.get("domain") != was.get("domain"):
        return "it reaches more hosts" if not was.get("domain") else "it goes to other hosts"
    return ""


def _same_site(cookie: cookies.Cookie) -> int:
    """A rank, the strictest 0; no SameSite is between Lax and None, as browsers differ."""
    said = (cookie.get("samesite") or "").lower()
    return _SAME_SITE.index(said) * 2 if said in _SAME_SITE else 3
