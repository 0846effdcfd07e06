"""What may be asked of any header by name: its row, its faults, how copies collapse, how values
merge.

Lives here: the dispatch from a header to its grammar. Must not know rules, modes or conditions; the
rows stand in `header_table`, the grammars in modules of their own. Values are text, bytes decoded
as latin-1. Nothing here raises for any value; `merge` does for a header that has no rule for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from sidecar.policy import csp, faults
from sidecar.policy.faults import Fault
from sidecar.policy.headers import cookies, destinations, fields, plain_values, tokens
from sidecar.policy.headers.table import ALL, DISCLOSURE, Grammar, Header

__all__ = [
    "ALL",
    "CSP_NAMES",
    "DISCLOSURE",
    "MERGEABLE",
    "Header",
    "HeaderFaultKind",
    "collapse",
    "get",
    "judge",
    "merge",
]

CSP_NAMES = frozenset({"content-security-policy", "content-security-policy-report-only"})

_ROWS: Mapping[str, Header] = {row.key: row for row in ALL}
_OWS = " \t"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/,?#]+", re.IGNORECASE | re.ASCII)


class HeaderFaultKind(faults.FaultKind):
    """What can be wrong with a header beyond the faults of its grammar."""

    INVALID = (
        "header-invalid-value",
        "invalid",
        "Browsers ignore the value {part}.",
        "Write one of: {hint}.",
    )
    NOT_AN_ORIGIN = (
        "header-not-an-origin",
        "invalid",
        "Browsers refuse {part}: it is not one origin.",
        "Write one origin as https://example.com, or *.",
    )
    NOT_A_NUMBER = (
        "header-not-a-number",
        "invalid",
        "Browsers ignore {part}: it is no whole number.",
        "Write seconds in digits.",
    )
    NAME_IN_VALUE = (
        "header-name-in-value",
        "invalid",
        "Browsers ignore the value: the header's own name stands in it.",
        "Write what stands behind {part} alone.",
    )
    NOT_A_BOOLEAN = (
        "header-not-a-boolean",
        "invalid",
        "Browsers ignore the value {part}.",
        "Write ?1 or ?0.",
    )
    WEAK = (
        "header-weak-value",
        "weak",
        "The value {part} protects little. {hint}",
        "Use a stricter value than {part}.",
    )
    DISCLOSES = (
        "header-discloses",
        "weak",
        "The header {part} reveals what runs here.",
        "Remove {part}.",
    )
    DEPRECATED = "header-deprecated", "weak", "The header {part} is out of use.", "{hint}"


def get(name: str) -> Header | None:
    """The row of a header, whatever the case of the name; None when nothing is known of it."""
    return _ROWS.get(name.lower())


def collapse(name: str, values: Sequence[str]) -> str | None:
    """The one value that copies of a once-only header become; None = leave them alone.

    Equal copies become one. Of others the first counts where browsers obey the first; where they
    obey none (`invalid`) or block (`conflict-blocks`), the most protective known value is taken, so
    that nothing is allowed that the browser would refuse. None also for headers that may repeat,
    for unknown ones, where no copy has a known value, and where copies give leave (CORS) but
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
    """The word of a value that stands in the row's `tokens`, in the form that compares."""
    text = value.strip(_OWS)
    if row.grammar == "item":
        item = fields.parse_item(text).value
        return str(item[0]) if item else ""
    return text.lower() if row.grammar == "token" else text


def header_faults(name: str, value: str, scheme: str = "https") -> tuple[Fault, ...]:
    """All that is wrong with one value of a header in a response over this scheme: invalid
    first, then weak.
    """
    row = get(name)
    if row is None:
        return (HeaderFaultKind.DISCLOSES.about(name),) if name.lower() in DISCLOSURE else ()
    if row.grammar == "cookie":
        return cookies.cookie_faults(value, scheme)
    if value.lower().startswith(f"{row.key}:"):
        return (HeaderFaultKind.NAME_IN_VALUE.about(f"{row.name}:"),)
    found = [*_JUDGES[row.grammar](row, value)]
    word = value.strip(_OWS).lower() if row.grammar != "item" else _word(row, value)
    found += [
        HeaderFaultKind.WEAK.about(value, why)
        for weak, why in row.weak
        if word == weak or word.startswith(f"{weak};")
    ]
    if row.group == "disclosure":
        found.append(HeaderFaultKind.DISCLOSES.about(row.name))
    if row.deprecated and not (row.strong and word == row.strong):
        found.append(HeaderFaultKind.DEPRECATED.about(row.name, row.purpose))
    return tuple(found)


def _judge_word(row: Header, value: str) -> tuple[Fault, ...]:
    first = value.partition(",")[0] if row.key == "x-content-type-options" else value
    is_known = not row.tokens or _word(row, first) in row.tokens
    return () if is_known else (HeaderFaultKind.INVALID.about(value, ", ".join(row.tokens)),)


def _judge_origin(_row: Header, value: str) -> tuple[Fault, ...]:
    text = value.strip(_OWS)
    return (
        ()
        if text in ("*", "null") or _ORIGIN.fullmatch(text)
        else (HeaderFaultKind.NOT_AN_ORIGIN.about(text),)
    )


def _judge_number(_row: Header, value: str) -> tuple[Fault, ...]:
    return (
        ()
        if re.fullmatch(r"-?[0-9]+", value.strip(_OWS))
        else (HeaderFaultKind.NOT_A_NUMBER.about(value),)
    )


def _judge_boolean(_row: Header, value: str) -> tuple[Fault, ...]:
    item = fields.parse_item(value).value
    return (
        () if item and isinstance(item[0], bool) else (HeaderFaultKind.NOT_A_BOOLEAN.about(value),)
    )


_Judge = Callable[[Header, str], tuple[Fault, ...]]
_JUDGES: Mapping[Grammar, _Judge] = {
    "csp": lambda _, value: csp.csp_faults(value),
    "permissions": lambda _, value: fields.judge_permissions(value),
    "endpoints": lambda _, value: fields.judge_endpoints(value),
    "integrity": lambda _, value: fields.judge_integrity(value),
    "dictionary": lambda _, value: fields.parse_dictionary(value).faults,
    "hsts": lambda _, value: tokens.judge_hsts(value),
    "referrer": lambda _, value: tokens.judge_referrer(value),
    "cache": lambda _, value: tokens.judge_cache(value),
    "vary": lambda _, value: tokens.judge_names(value),
    "names": lambda _, value: tokens.judge_names(value),
    "site-data": lambda _, value: tokens.judge_site_data(value),
    "text": _judge_word,
    "item": _judge_word,
    "token": _judge_word,
    "exact": _judge_word,
    "origin": _judge_origin,
    "number": _judge_number,
    "boolean": _judge_boolean,
    "nel": lambda _, value: destinations.judge_nel(value),
    "report-to": lambda _, value: destinations.judge_report_to(value),
    "media-type": lambda _, value: plain_values.judge_media_type(value),
    "disposition": lambda _, value: plain_values.judge_disposition(value),
    "date": lambda _, value: plain_values.judge_date(value),
    "challenge": lambda _, value: plain_values.judge_challenge(value),
    "path": lambda _, value: plain_values.judge_path(value),
    "origins": lambda _, value: plain_values.judge_origins(value),
    "allowlist": lambda _, value: plain_values.judge_allowlist(value),
}

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
    `widen` gives leave; lists add up; of other dictionaries' equal keys ours wins. The service's
    text comes back as it is where nothing changes; an empty one gives way to ours.

    Raises:
        ValueError: the header has no rule for merging; the text names the fix.
    """
    row = get(name)
    if row is None or row.key not in MERGEABLE:
        raise ValueError(f"{name} cannot be merged; use set, default or append")
    return (
        _MERGERS[row.grammar](app_value, our_value, widen) if app_value.strip(_OWS) else our_value
    )
