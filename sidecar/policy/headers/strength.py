"""Whether one value of a header protects less than another.

Lives here: `weaker` for a header's lines, `weaker_cookie` for a cookie's attributes. Must not know
rules, modes or counts. Where a header can be merged, the law of the merge decides: a value that
takes something on when the other is merged into it had allowed more. Values may be masked (see
`shapes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sidecar.policy import csp, headers
from sidecar.policy.csp.sources import REQUEST_NONCE
from sidecar.policy.headers import cookies, tokens
from sidecar.policy.headers.shapes import Lines
from sidecar.policy.headers.table import Header

_MASK, _NONCE = "'nonce-...'", "'nonce-AAAAAAAAAAAAAAAAAAAAAAAA'"
_REPORTING = frozenset({"report-uri", "report-to"})
_KEEPING = frozenset({"no-store", "private", "no-cache"})
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
    """Whether the header gives leave, so that its absence is the stricter state."""
    row = headers.get(name)
    return row is not None and (row.group == "cors" or row.key == "timing-allow-origin")


def reports_only(name: str) -> bool:
    """Whether browsers only report by this header and block nothing."""
    return name.lower().endswith("-report-only")


def weaker(name: str, before: Lines, after: Lines) -> str:
    """Why the lines `after` protect less than `before`, in a few words; "" where they do not, or
    nobody can say.
    """
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
    kept = csp.serialise(
        *(
            csp.Policy(tuple(one for one in policy.directives if one.name not in _REPORTING))
            for policy in csp.parse(old)
        )
    )
    if not kept:
        return ""
    tightened, written = (csp.parse(text) for text in (csp.merge_text(new, kept), new))
    if tightened == written:
        return ""
    lost = [
        one.name
        for policy in csp.parse(kept)
        for one in policy.directives
        if not any(csp.effective(held, one.name) for held in written)
    ]
    if lost:
        return f"{lost[0]} is no longer set"
    known = {one for policy in written for one in policy.directives}
    wider = next(
        (one.name for policy in tightened for one in policy.directives if one not in known), "it"
    )
    return f"{wider} allows more"


def _by_merge(row: Header, old: str, new: str) -> str:
    return "" if headers.merge(row.name, new, old) == new else "it asks for less than before"


def _by_permissions(row: Header, old: str, new: str) -> str:
    return "" if headers.merge(row.name, new, old) == new else "it allows more features or origins"


def _by_cache(row: Header, old: str, new: str) -> str:
    if not _KEEPING & tokens.parse_cache(old)[0].keys() or headers.merge(row.name, new, old) == new:
        return ""
    return "caches may keep more, or for longer"


def _by_hsts(_row: Header, old: str, new: str) -> str:
    was, now = tokens.parse_hsts(old), tokens.parse_hsts(new)
    if not was.valid:
        return ""
    if not now.valid or (now.max_age or 0) < (was.max_age or 0):
        return "max-age is shorter"
    return (
        "includeSubDomains is gone" if was.include_subdomains and not now.include_subdomains else ""
    )


def _by_referrer(_row: Header, old: str, new: str) -> str:
    was, now = tokens.referrer_policy(old), tokens.referrer_policy(new)
    if was is None:
        return ""
    return (
        "it tells other sites more"
        if now is None or _REFERRERS.index(now) > _REFERRERS.index(was)
        else ""
    )


def _by_grant(old: str, new: str) -> str:
    was, now = ({word.lower() for word in tokens.words(text)} for text in (old, new))
    more = sorted(now - was)
    return "" if "*" in was or not more else f"it gives leave to {more[0][:80]}"


def _by_word(row: Header, old: str, new: str) -> str:
    """By the place in the row's closed list, or its one strong value; else by what is wrong with
    the new value alone.
    """
    was, now = (
        next(
            (
                place
                for place, token in enumerate(row.tokens)
                if text.lower().partition(";")[0].strip() == token
            ),
            None,
        )
        for text in (old, new)
    )
    if was is not None or (row.strong and old.lower() == row.strong.lower()):
        return (
            ""
            if now is not None and was is not None and now <= was
            else f"{new[:40]} protects less than {old[:40]}"
        )
    known = {fault.kind for fault in headers.header_faults(row.name, old)}
    return next(
        (fault.text for fault in headers.header_faults(row.name, new) if fault.kind not in known),
        "",
    )


_BY_GRAMMAR: Mapping[str, Callable[[Header, str, str], str]] = {
    "csp": _by_csp,
    "permissions": _by_permissions,
    "integrity": _by_merge,
    "dictionary": _by_merge,
    "site-data": _by_merge,
    "vary": _by_merge,
    "cache": _by_cache,
    "hsts": _by_hsts,
    "referrer": _by_referrer,
}


def weaker_cookie(before: str, after: str) -> str:
    """Why the attributes `after` of a cookie protect less; written as in a Set-Cookie line,
    without the name.
    """
    was, now = (cookies.parse(f"c=; {attributes}") for attributes in (before, after))
    for key, name in (
        ("secure", "Secure"),
        ("httponly", "HttpOnly"),
        ("partitioned", "Partitioned"),
    ):
        if was.get(key) is not None and now.get(key) is None:
            return f"{name} is gone"
    if _same_site(now) > _same_site(was):
        return "SameSite is weaker"
    if now.get("domain") and now.get("domain") != was.get("domain"):
        return "it reaches more hosts" if not was.get("domain") else "it goes to other hosts"
    return ""


def _same_site(cookie: cookies.Cookie) -> int:
    """The rank of what is said; nothing said is between Lax and None, as browsers differ."""
    said = (cookie.get("samesite") or "").lower()
    return _SAME_SITE.index(said) * 2 if said in _SAME_SITE else 3
