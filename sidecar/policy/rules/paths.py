"""The ways in which services turn the bytes of a request path into the path that they route on.

Paths are bytes, one character for each (latin-1), so any can be read.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sidecar.policy.terms import Slashes

_REPEATED = re.compile(r"//+")
_DOTS = re.compile(r"/\.\.?(?:/|\Z)")
_ENCODED_SLASH = re.compile(r"%2[fF]")


def decoded(text: str) -> str:
    """The text percent-decoded once, as WSGI and ASGI servers do; one character for each byte."""
    if text.isascii() and "%" not in text:
        return text
    return unquote_to_bytes(text).decode("latin-1")


def readings(path: str, slashes: Slashes = "stricter") -> tuple[str, ...]:
    """How services may read a path, the likeliest first.

    All decode it once (PEP 3333 PATH_INFO, the `path` of ASGI's HTTP scope). Then they differ:
    Werkzeug drops repeated slashes at the start, file servers resolve dot segments (RFC 3986
    section 5.2.4) after decoding, Starlette ignores a line feed at the end, and aiohttp keeps an
    encoded slash apart from a slash.

    Args:
        path: of the request target as sent, without query.
        slashes: whether repeated slashes count as one.
    """
    # What makes more than one reading possible: an encoding, an empty or dot segment.
    usual = "%" not in path and "//" not in path and "/." not in path
    if usual and path.isascii() and path.isprintable():
        return (path,)
    whole = decoded(path)
    found = [whole]
    if _ENCODED_SLASH.search(path):
        found.append(decoded(_ENCODED_SLASH.sub("%252F", path)))
    if slashes != "keep":
        merged = [_REPEATED.sub("/", one) for one in found]
        found = merged if slashes == "merge" else [merged[0], found[0], *merged[1:], *found[1:]]
    found += [_without_dots(one) for one in found if _DOTS.search(one)]
    found += [one[:-1] for one in found if one.endswith("\n")]
    return tuple(dict.fromkeys(found))


def _without_dots(path: str) -> str:
    kept: list[str] = []
    first, *rest = path.split("/")
    for at, segment in enumerate(rest):
        if segment in (".", ".."):
            if segment == ".." and kept:
                kept.pop()
            if at == len(rest) - 1:
                kept.append("")
        else:
            kept.append(segment)
    return "/".join((first, *kept))


def shown(reading: str) -> str:
    """A reading for people: `%` and all but visible ASCII are percent-encoded."""
    return quote_from_bytes(reading.encode("latin-1"), safe="/!\"#$&'()*+,:;<=>?@[\\]^`{|}")
