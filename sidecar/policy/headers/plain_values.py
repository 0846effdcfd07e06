"""Headers with one plain value: a media type, a disposition, a date, a number, an origin, a path.

Hostile text is read up to 64 KiB; nothing here raises. Sources: RFC 9110 sections 5.6.7, 8.3 and
11.6.1; RFC 6266; Service Workers; Resource Timing; Connection Allowlists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from sidecar.policy.faults import MAX_TEXT, Fault, fault, nearest
from sidecar.policy.headers import fields, tokens
from sidecar.policy.headers.table import Grammar
from sidecar.policy.values import TOKEN

_OWS = " \t"
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


def _judge(pattern: re.Pattern[str], code: str, text: str) -> tuple[Fault, ...]:
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


JUDGES: Mapping[Grammar, Callable[[str], tuple[Fault, ...]]] = {
    **{name: partial(_judge, re.compile(text), code) for name, (text, code) in _PATTERNS.items()},
    "boolean": _judge_boolean,
    "disposition": _judge_disposition,
    "origins": _judge_origins,
    "allowlist": _judge_allowlist,
}
"""What is wrong with a value, by its grammar."""
