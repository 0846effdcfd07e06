"""One Set-Cookie line: read its name and attributes, judge them, and edit attributes alone.

A cookie's value is never kept, compared or reported. Lines are bytes decoded as latin-1, so that
every byte is one character and none changes. Source: RFC 6265bis (section 5.6, the user agent's
side) and the cookie prefixes of its successors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from sidecar.policy.faults import MAX_TEXT, Fault, fault

SameSite: TypeAlias = Literal["Strict", "Lax", "None"]

_WRITTEN = "Domain Expires HttpOnly Max-Age Partitioned Path Priority SameSite Secure"
ATTRIBUTES: Mapping[str, str] = {name.lower(): name for name in _WRITTEN.split()}
"""The attributes that browsers know: in lower case -> as they are written."""
MAX_PAIR = 4_096
"""Bytes of name and value together beyond which browsers refuse a cookie."""
MAX_ATTRIBUTE = 1_024
"""Bytes of an attribute's value beyond which browsers ignore the attribute."""

PREFIXES: Mapping[str, str] = {
    "__host-http-": "Secure, HttpOnly, Path=/ and no Domain",
    "__host-": "Secure, Path=/ and no Domain",
    "__http-": "Secure and HttpOnly",
    "__secure-": "Secure",
}
"""Name prefixes (longest first) -> what a cookie so named needs, or browsers refuse it."""

# Tokens that scripts copy into a request header: Django, Angular, Laravel, Spring, Tornado...
_READABLE = ("csrf", "xsrf", "x-csrf", "x-xsrf", "_xsrf")
_WS = " \t"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Cookie(NamedTuple):
    """What may be known of a Set-Cookie line.

    `attributes`: each (name in lower case, value); unknown ones as ("", ""), since a semicolon
    inside the cookie's value turns the rest of the value into attributes.
    """

    name: str
    attributes: tuple[tuple[str, str], ...]
    refused: str = ""
    """The code of why browsers refuse the line whatever its attributes are, if they do."""

    def get(self, attribute: str) -> str | None:
        """The value of the last such attribute (lower case), the one that counts; None = absent."""
        values = [
            value
            for name, value in self.attributes
            if name == attribute and len(value) <= MAX_ATTRIBUTE
        ]
        return values[-1] if values else None


class Demands(NamedTuple):
    """What a cookie's attributes must be. None leaves an attribute alone; False takes it away."""

    secure: bool | None = None
    http_only: bool | None = None
    same_site: SameSite | None = None
    partitioned: bool | None = None
    path: str | None = None
    host_only: bool = False
    """Take Domain away, as `__Host-` names demand."""
    hide_csrf: bool = False
    """Demand HttpOnly even of cookies that scripts must read (`is_readable_csrf`)."""


def parse(line: str) -> Cookie:
    """Read one Set-Cookie value as browsers do (section 5.6); total."""
    pair, *pieces = line[:MAX_TEXT].split(";")
    name, equals, value = pair.partition("=")
    name = name.strip(_WS) if equals else ""
    length = len(name) + len(value.strip(_WS)) if equals else len(pair.strip(_WS))
    refused = ""
    if _CONTROL.search(line):
        refused = "cookie-control"
    elif not length or length > MAX_PAIR:
        refused = "cookie-too-long" if length else "cookie-empty"
    written = (_attribute(piece) for piece in pieces if piece.strip(_WS))
    attributes = tuple(one if one[0] in ATTRIBUTES else ("", "") for one in written)
    return Cookie(name, attributes, refused)


def _attribute(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    return name.strip(_WS).lower(), value.strip(_WS)


def matches(pattern: str, name: str) -> bool:
    """Whether a cookie name matches a pattern, in which * stands for any run; case counts."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    if not name.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        at = name.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(name) - len(rest[-1]) >= at and name.endswith(rest[-1])


def is_readable_csrf(name: str) -> bool:
    """Whether a cookie is one of the well-known CSRF tokens that scripts must be able to read."""
    return name.lower().removeprefix(prefix_of(name)).startswith(_READABLE)


def prefix_of(name: str) -> str:
    """The one of `PREFIXES` that a cookie's name begins with, in any case; "" = none."""
    return next((prefix for prefix in PREFIXES if name.lower().startswith(prefix)), "")


def apply(line: str, demands: Demands, scheme: str = "https") -> str:
    """The line with its attributes as demanded, and every other byte as it was; idempotent.

    Secure, and what needs it (SameSite=None, Partitioned), is written over https only, since
    browsers refuse Secure cookies that come over http; over https such a demand adds Secure too.
    Lines that browsers refuse anyway, or that exceed 64 KiB, are returned unchanged.
    """
    cookie = parse(line)
    if cookie.refused or len(line) > MAX_TEXT:
        return line
    pair, *pieces = line.split(";")
    is_https = scheme == "https"
    needs_secure = demands.partitioned is True or demands.same_site == "None"
    if is_https and needs_secure:
        _flag(pieces, "Secure", wanted=True)
    elif is_https or demands.secure is False:
        _flag(pieces, "Secure", wanted=demands.secure)
    if demands.hide_csrf or not demands.http_only or not is_readable_csrf(cookie.name):
        _flag(pieces, "HttpOnly", wanted=demands.http_only)
    if demands.same_site and (is_https or demands.same_site != "None"):
        _valued(pieces, "SameSite", demands.same_site)
    if demands.path:
        _valued(pieces, "Path", demands.path)
    if demands.host_only:
        _flag(pieces, "Domain", wanted=False)
    if is_https or demands.partitioned is False:
        _flag(pieces, "Partitioned", wanted=demands.partitioned)
    return ";".join((pair, *pieces))


def _flag(pieces: list[str], name: str, *, wanted: bool | None) -> None:
    if wanted is None:
        return
    present = [_attribute(piece)[0] == name.lower() for piece in pieces]
    if not wanted:
        pieces[:] = [piece for piece, found in zip(pieces, present, strict=True) if not found]
    elif not any(present):
        _add(pieces, name)


def _valued(pieces: list[str], name: str, wanted: str) -> None:
    places = [place for place, piece in enumerate(pieces) if _attribute(piece)[0] == name.lower()]
    if not places:
        _add(pieces, f"{name}={wanted}")
        return
    last = pieces[places[-1]]
    value = _attribute(last)[1]
    if value != wanted and not (name == "SameSite" and value.lower() == wanted.lower()):
        pieces[places[-1]] = f"{last.partition('=')[0]}={wanted}"


def _add(pieces: list[str], text: str) -> None:
    """Write an attribute at the end, after a final semicolon if there is one already."""
    if pieces and not pieces[-1].strip(_WS):
        pieces[-1] += text if pieces[-1] else f" {text}"
    else:
        pieces.append(f" {text}")


def cookie_faults(line: str, scheme: str = "https") -> tuple[Fault, ...]:
    """What is wrong with a Set-Cookie line in a response over this scheme; `part` is its name."""
    cookie = parse(line)
    if cookie.refused:
        return (fault(cookie.refused, cookie.name),)
    found = [*_attribute_faults(cookie), *_demand_faults(cookie, scheme)]
    return tuple(fault(code, cookie.name, hint) for code, hint in found)


def _attribute_faults(cookie: Cookie) -> Iterable[tuple[str, str]]:
    """Codes and hints."""
    names = [name for name, _ in cookie.attributes]
    if not cookie.name:
        yield "cookie-nameless", ""
    for name in ATTRIBUTES:
        if names.count(name) > 1:
            yield "cookie-repeated-attribute", name
    if not ATTRIBUTES.keys() >= set(names):
        yield "cookie-unknown-attribute", ""


def _demand_faults(cookie: Cookie, scheme: str) -> Iterable[tuple[str, str]]:
    secure, same_site = cookie.get("secure") is not None, (cookie.get("samesite") or "").lower()
    hidden = cookie.get("httponly") is not None
    if same_site == "none" and not secure:
        yield "cookie-needs-secure", "SameSite=None"
    if cookie.get("partitioned") is not None and not secure:
        yield "cookie-needs-secure", "Partitioned"
    prefix = prefix_of(cookie.name)
    pinned = cookie.get("path") == "/" and not cookie.get("domain")
    if (
        (prefix and not secure)
        or ("host-" in prefix and not pinned)
        or ("http-" in prefix and not hidden)
    ):
        yield "cookie-prefix", PREFIXES[prefix]
    if secure and scheme == "http":
        yield "cookie-secure-over-http", ""
    if cookie.get("samesite") is None:
        yield "cookie-no-samesite", ""
    elif same_site not in ("strict", "lax", "none"):
        yield "cookie-bad-samesite", ""
    if not secure and scheme == "https":
        yield "cookie-not-secure", ""
    if not hidden and not is_readable_csrf(cookie.name):
        yield "cookie-readable", ""
