"""What may be written down of a response: values of policy headers, of all others only the form.

Nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from sidecar.policy import headers
from sidecar.policy.data import MEDIA_TYPES
from sidecar.policy.headers import cookies

Lines: TypeAlias = tuple[str, ...]
"""The lines of one header in one response, as they may be shown; () = the header is absent."""

OTHER: Lines = ("<other>",)
"""Stands for all that was seen beyond a cap."""

FORMS = frozenset(
    {"<empty>", "<date>", "<http url>", "<https url>", "<path>", "<quoted>", "<token>", "<text>"}
)
"""What is logged in place of a secret value."""

MAX_VALUE = 2_048
"""Characters of a value that are kept."""
MAX_LINES = 8
"""Lines of one header that are kept."""

_CONTENTS: Mapping[str, str] = {
    media: name for name, listed in MEDIA_TYPES["contents"].items() for media in listed
}
_FAMILIES = [(media[:-1], name) for media, name in _CONTENTS.items() if media[-1] == "*"]

# RFC 9110 section 5.6.7: today's form, and the two obsolete ones.
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*(?:, [0-9]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4}"
    r" [0-9:]{8}(?: GMT)?| [A-Z][a-z]{2} +[0-9]{1,2} [0-9:]{8} [0-9]{4})"
)
_URL = re.compile(r"(https?)://", re.IGNORECASE)
_NONCE = re.compile(r"(?i)'nonce-[^']*'")
_QUERY = re.compile(r"\?[^\s'\";,>|]+")
_USER = re.compile(r"//[^\s/@'\";,]+@")
_CHALLENGE = re.compile(
    r"(?i)\b(nonce|opaque)=(?:\"[^\"]*\"?|[^\s,]+)|\b(negotiate|ntlm)\s+[^\s,]+"
)
_RANDOM = re.compile(r"[0-9a-fA-F]{12,}|(?=[A-Za-z_-]*[0-9])[0-9A-Za-z_-]{20,}")
_WORD = re.compile(
    r"(?:[a-z]{1,20}|[A-Z]?[a-z]{2,20}(?:[A-Z][a-z]{1,20}){0,3}|[A-Z]{1,12})?[0-9]{0,3}"
)
_HOST = re.compile(r"[a-z0-9.-]{1,100}(?::[0-9]{1,5})?", re.IGNORECASE | re.ASCII)
# Of the disclosing headers, these differ from response to response.
_VOLATILE = frozenset({"server-timing", "sourcemap", "x-sourcemap"})


def content_class(media_type: str) -> str:
    """By its Content-Type: html, api, script, style, image, font, other or none."""
    essence = media_type.partition(";")[0].strip(" \t").lower()
    if not essence:
        return "none"
    families = (name for begin, name in _FAMILIES if essence.startswith(begin))
    found = _CONTENTS.get(essence) or next(families, "")
    return found or ("api" if essence.endswith(("+json", "+xml")) else "other")


def display_name(key: str) -> str:
    """A header's name as it is shown: the table's spelling, or each word with a capital."""
    if row := headers.get(key):
        return row.name
    if key == "etag":
        return "ETag"
    return "-".join(word[:1].upper() + word[1:] for word in key.lower().split("-"))


def shape(key: str, value: str) -> str:
    """One line of a header (name in lower case) as it may be written down.

    Of headers of the table and of names of software: the value itself, with nonces, dates, queries
    and users masked. Of a cookie: its name and attributes. Of all others the form, one of FORMS: a
    <token> has no white space. The shape of a shape is the same shape.
    """
    row = headers.get(key)
    if key == "set-cookie":
        return cookie_line(*cookie(value))
    if key == "content-type":
        return _media_type(value)
    if row is not None and row.group != "disclosure":
        return _shown(value)
    if (row is not None or key in headers.DISCLOSURE) and key not in _VOLATILE:
        return _RANDOM.sub("...", _shown(value))
    return form(key, value)


def form(key: str, value: str) -> str:
    """The form of a value that is not logged."""
    if value in FORMS:
        return value
    if not value:
        return "<empty>"
    if _DATE.fullmatch(value):
        return "<date>"
    if found := _URL.match(value):
        return f"<{found[1].lower()} url>"
    if key in ("location", "content-location"):
        return "<path>"
    if value.removeprefix("W/")[:1] == '"' and value[-1] == '"':
        return "<quoted>"
    return "<text>" if re.search(r"\s", value) else "<token>"


def _shown(value: str) -> str:
    text = re.sub(r"[^\t -~]", lambda found: f"\\x{ord(found[0]):02x}", value)
    text = _DATE.sub("<date>", _NONCE.sub("'nonce-...'", text))
    text = _CHALLENGE.sub(
        lambda found: f'{found[1]}="..."' if found[1] else f"{found[2]} ...", text
    )
    text = _USER.sub("//...@", _QUERY.sub("?...", text))
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}..."


def _media_type(value: str) -> str:
    """Type and charset; a multipart boundary changes with every response."""
    charset = re.search(r"(?i)charset\s*=\s*\"?([\w-]{1,40})", value)
    essence = _shown(value.partition(";")[0].strip(" \t"))[:100]
    return f"{essence}; charset={charset[1]}" if charset else essence


def cookie(line: str) -> tuple[str, str]:
    """Name and attributes of a Set-Cookie line, without its value and random parts of the name."""
    parsed = cookies.parse(line)
    attributes = []
    for name, value in parsed.attributes:
        if not name:
            continue
        data = "<date>" if name == "expires" else _shown(value)[:200]
        written = cookies.ATTRIBUTES[name]
        attributes.append(f"{written}={data}" if data else written)
    return _RANDOM.sub("...", _shown(parsed.name))[:100], "; ".join(attributes)


def cookie_line(name: str, attributes: str) -> str:
    """A Set-Cookie line of a cookie whose value is not known."""
    return f"{name}=...; {attributes}" if attributes else f"{name}=..."


def path(text: str) -> str:
    """A path, up to 300 characters, with "..." for each segment that looks like an id or secret."""
    return "/".join(one if _is_word(one) else "..." for one in text[:300].split("/"))


def _is_word(segment: str) -> bool:
    words = re.split(r"[-_.~]", segment)
    return not segment or (
        len(words) <= 8
        and segment.strip("0123456789-_.~") != ""
        and all(_WORD.fullmatch(word) for word in words)
    )


def host(text: str) -> str:
    """A host in lower case, or "unknown" where the text is not a host."""
    return text.lower() if _HOST.fullmatch(text) else "unknown"


def shapes(key: str, values: Iterable[bytes]) -> Lines:
    """The lines of one header (name in lower case, values as received), as they may be written."""
    data = tuple(shape(key, value.decode("latin-1").strip(" \t")) for value in values)
    return data if len(data) <= MAX_LINES else (*data[:MAX_LINES], OTHER[0])
