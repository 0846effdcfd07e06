"""Any header by name: its row, its faults, how copies collapse, how values merge.

The rows are in `table`, the grammars of more than one plain value in modules of their own. Values
are text, bytes decoded as latin-1, and read up to 64 KiB. Nothing here raises for any value;
`merge` does for a header that has no rule for it. Sources of plain values: RFC 9110 sections 5.6.7,
8.3 and 11.6.1; RFC 6266; Service Workers; Resource Timing; Connection Allowlists.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sidecar.policy import csp
from sidecar.policy.csp.table import CSP_NAMES
from sidecar.policy.csp.weaknesses import csp_faults
from sidecar.policy.faults import MAX_TEXT, Fault, fault, nearest
from sidecar.policy.headers import cookies, destinations, fields, tokens
from sidecar.policy.headers.table import ALL, DISCLOSURE, Grammar, Header
from sidecar.policy.values import TOKEN

__all__ = [
    "ALL",
    "CSP_NAMES",
    "DISCLOSURE",
    "MERGEABLE",
    "Header",
    "collapse",
    "get",
    "header_faults",
    "meant",
    "merge",
]

_NEAR = 0.88
"""How alike two names are of which one is a slip of the other: a letter or two in each ten."""
_TOKEN = TOKEN.pattern
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAMETERS = rf"(?:[ \t]*;(?:[ \t]*{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))?)*+"
_DISPOSITION = re.compile(rf"({_TOKEN}){_PARAMETERS}")
_DISPOSITIONS = frozenset({"attachment", "inline", "form-data"})
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = "[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
# Today's form, and the two older ones that every recipient must accept (RFC 9110 section 5.6.7).
_DATE = (
    f"{_DAY}, [0-3][0-9] {_MONTH} [0-9]{{4}} {_TIME} GMT"
    f"|{_DAY}[a-z]*, [0-3][0-9]-{_MONTH}-[0-9]{{2}} {_TIME} GMT"
    f"|{_DAY} {_MONTH} [0-3 ][0-9] {_TIME} [0-9]{{4}}"
)
_PARAMETER = rf"{_TOKEN}[ \t]*=[ \t]*(?:{_TOKEN}|{_QUOTED})"
_SCHEME = rf"{_TOKEN}(?:[ ]+(?:{_PARAMETER}|[A-Za-z0-9._~+/-]+=*))?"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/,?#*]+", re.IGNORECASE | re.ASCII)

_PATTERNS: Mapping[Grammar, tuple[str, str]] = {
    # Content-Type (RFC 9110 section 8.3)
    "media-type": (rf"{_TOKEN}/{_TOKEN}{_PARAMETERS}", "value-not-a-media-type"),
    # Expires; 0 and -1 are the customary words for "already stale" (RFC 9111 section 5.3)
    "date": (f"{_DATE}|0|-1", "value-not-a-date"),
    # WWW-Authenticate (RFC 9110 section 11.6.1)
    "challenge": (
        rf"(?:{_SCHEME})(?:[ \t]*,[ \t]*(?:{_PARAMETER}|{_SCHEME}))*+",
        "value-not-a-challenge",
    ),
    # Service-Worker-Allowed: an address whose path is a prefix, with no wildcards
    "path": (r"[^* \t,]*", "value-not-a-path"),
    "number": ("-?[0-9]+", "header-not-a-number"),
    "origin": (r"\*|null|(?ai:[a-z][a-z0-9+.-]*://[^\s/,?#]+)", "header-not-an-origin"),
}
_ROWS: Mapping[str, Header] = {row.key: row for row in ALL}
_OWS = " \t"


def get(name: str) -> Header | None:
    """The row of a header, in any case of the name; None when nothing is known of it."""
    return _ROWS.get(name.lower())


def meant(name: str) -> str:
    """The known header whose name is almost this one; "" for a known header, and where none is."""
    key = name.lower()
    if key in _ROWS or key in DISCLOSURE:
        return ""
    near = difflib.get_close_matches(key, _ROWS, n=1, cutoff=_NEAR)
    return _ROWS[near[0]].name if near else ""


def collapse(name: str, values: Sequence[str]) -> str | None:
    """The one value that copies of a once-only header become; None = leave them alone.

    Equal copies become one. Of others the first counts where browsers obey the first; where they
    obey none (`invalid`) or block (`conflict-blocks`), the most protective known value is taken, so
    that nothing is allowed that the browser would refuse. None also for headers that may repeat,
    for unknown ones, where no copy has a known value, and where copies grant access (CORS) but
    differ.
    """
    row = get(name)
    copies = [value.strip(_OWS) for value in values]
    if row is None or not row.single or not copies:
        return None
    if len(set(copies)) == 1 or row.repeats == "first":
        return copies[0]
    if row.group == "cors":
        return None
    if row.repeats == "conflict-blocks":
        copies = [part.strip(_OWS) for copy in copies for part in copy.split(",")]
    found = {_word(row, copy): copy for copy in reversed(copies)}
    known = [found[token] for token in row.tokens if token in found]
    if known and row.repeats == "conflict-blocks" and len(found) > 1:
        return found.get(row.tokens[0], row.strong)
    return known[0] if known else None


def _word(row: Header, value: str) -> str:
    """The word of a value as the row's `tokens` write it."""
    text = value.strip(_OWS)
    if row.grammar == "item":
        item = fields.parse_item(text).value
        return str(item[0]) if item else ""
    return text.lower() if row.grammar == "token" else text


def header_faults(name: str, value: str, scheme: str = "https") -> tuple[Fault, ...]:
    """All that is wrong with a header's value in a response over this scheme, invalid first."""
    row = get(name)
    if row is None:
        return (fault("header-discloses", name),) if name.lower() in DISCLOSURE else ()
    if row.grammar == "cookie":
        return cookies.cookie_faults(value, scheme)
    if value.lower().startswith(f"{row.key}:"):
        return (fault("header-name-in-value", f"{row.name}:"),)
    grammar = _JUDGES.get(row.grammar)
    found = [*(grammar(value) if grammar else _word_faults(row, value))]
    word = value.strip(_OWS).lower() if row.grammar != "item" else _word(row, value)
    found += [
        fault("header-weak-value", value, why)
        for weak, why in row.weak
        if word == weak or word.startswith(f"{weak};")
    ]
    if row.group == "disclosure":
        found.append(fault("header-discloses", row.name))
    if row.deprecated and not (row.strong and word == row.strong):
        found.append(fault("header-deprecated", row.name, row.purpose))
    return tuple(found)


def _word_faults(row: Header, value: str) -> tuple[Fault, ...]:
    first = value.partition(",")[0] if row.key == "x-content-type-options" else value
    is_known = not row.tokens or _word(row, first) in row.tokens
    return () if is_known else (fault("header-invalid-value", value, ", ".join(row.tokens)),)


def _plain(pattern: re.Pattern[str], code: str, text: str) -> tuple[Fault, ...]:
    value = text[:MAX_TEXT].strip(_OWS)
    return () if pattern.fullmatch(value) else (fault(code, value),)


def _judge_boolean(text: str) -> tuple[Fault, ...]:
    item = fields.parse_item(text).value
    is_boolean = item is not None and isinstance(item[0], bool)
    return () if is_boolean else (fault("header-not-a-boolean", text),)


def _judge_disposition(text: str) -> tuple[Fault, ...]:
    """A Content-Disposition (RFC 6266); unknown types are those that were misspelt."""
    found = _DISPOSITION.fullmatch(text[:MAX_TEXT].strip(_OWS))
    word = found[1].lower() if found else ""
    misspelt = word not in _DISPOSITIONS and nearest(word, _DISPOSITIONS)
    return () if found and not misspelt else (fault("value-not-a-disposition", text),)


def _judge_origins(text: str) -> tuple[Fault, ...]:
    """A Timing-Allow-Origin: origins, null or *, separated by commas."""
    return tuple(
        fault("value-not-origins", entry)
        for entry in tokens.entries(text)
        if entry and entry not in ("*", "null") and not _ORIGIN.fullmatch(entry)
    )


def _judge_allowlist(text: str) -> tuple[Fault, ...]:
    """A Connection-Allowlist: a structured list that holds one inner list of address patterns."""
    entries = fields.parse_list(text).value
    if entries and all(isinstance(value, list) for value, _ in entries):
        return ()
    return (fault("value-not-an-allowlist", text),)


_JUDGES: Mapping[Grammar, Callable[[str], tuple[Fault, ...]]] = {
    "csp": csp_faults,
    "permissions": fields.judge_permissions,
    "endpoints": fields.judge_endpoints,
    "integrity": fields.judge_integrity,
    "dictionary": lambda value: fields.parse_dictionary(value).faults,
    "hsts": tokens.judge_hsts,
    "referrer": tokens.judge_referrer,
    "cache": tokens.judge_cache,
    "vary": tokens.judge_names,
    "names": tokens.judge_names,
    "site-data": tokens.judge_site_data,
    "nel": destinations.judge_nel,
    "report-to": destinations.judge_report_to,
    **{name: partial(_plain, re.compile(text), code) for name, (text, code) in _PATTERNS.items()},
    "boolean": _judge_boolean,
    "disposition": _judge_disposition,
    "origins": _judge_origins,
    "allowlist": _judge_allowlist,
}
"""Grammars with faults of their own; the others are single words (`_word_faults`)."""

_MERGERS: Mapping[Grammar, Callable[[str, str, bool], str]] = {
    "csp": lambda app, ours, widen: csp.merge_text(app, ours, widen=widen),
    "permissions": lambda app, ours, widen: fields.merge_dictionary(
        app, ours, fields.wider if widen else fields.narrower
    ),
    "endpoints": lambda app, ours, _: fields.merge_dictionary(app, ours),
    "dictionary": lambda app, ours, _: fields.merge_dictionary(app, ours),
    "integrity": lambda app, ours, _: fields.merge_dictionary(app, ours, fields.both_lists),
    "cache": lambda app, ours, widen: tokens.merge_cache(app, ours, widen=widen),
    "vary": lambda app, ours, _: tokens.merge_words(app, ours),
    "site-data": lambda app, ours, _: tokens.merge_words(app, ours, '"*"', fold=False),
}

MERGEABLE: frozenset[str] = frozenset(
    row.key for row in ALL if row.grammar in _MERGERS and not row.deprecated
)
"""Names, in lower case, of the headers that `merge` knows a rule for."""


def merge(name: str, app_value: str, our_value: str, *, widen: bool = False) -> str:
    """One value that says what both say, by the header's own grammar; copies are given as one list.

    Policies, allowlists and cache directives never allow more than the service's value did, unless
    `widen` permits it; lists add up; of other dictionaries' equal keys ours wins. The service's
    text is returned as it is where nothing changes; an empty one is replaced by ours.

    Raises:
        ValueError: the header has no rule for merging; the text names the fix.
    """
    row = get(name)
    if row is None or row.key not in MERGEABLE:
        raise ValueError(f"{name} cannot be merged; use set, default or append")
    if not app_value.strip(_OWS):
        return our_value
    return _MERGERS[row.grammar](app_value, our_value, widen)
