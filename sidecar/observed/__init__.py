"""Responses from elsewhere than live traffic: requested, or read from a record."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import SplitResult, quote, urljoin, urlsplit

if TYPE_CHECKING:
    from sidecar.policy.rules.conditions import Facts

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Header lines as on the wire: name and value, in order."""

SCHEMES = frozenset({"http", "https"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
"""What OpenSSL says of a first response that is no TLS record."""
_WS = " \t"
_HOST = re.compile(r"[^\x00-\x20\x7f]+")
_URI = "%:/[]@!$&'()*+,;="
"""Reserved characters that are kept in an address (RFC 3986), besides letters, digits and -._~."""


class NoResponse(ValueError):  # noqa: N818 - a fact about the address, not a fault of ours
    """An address without a response, or a record that holds none; the text says which and why."""


def is_silent(error: NoResponse) -> bool:
    """Whether an address did not respond; of a record or a wrong address other things are said."""
    return "no response" in str(error)


def failure(error: Exception) -> str:
    """Why no response came, in words; other errors speak for themselves."""
    cause = getattr(error, "os_error", error)  # aiohttp's errors hold that of the system
    certificate = getattr(cause, "verify_message", "")
    if isinstance(cause, TimeoutError):
        return "timed out"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused: nothing listens at this address"
    if isinstance(cause, socket.gaierror):
        return f"the host name cannot be resolved: {cause.strerror}"
    if certificate:
        return f"bad certificate: {certificate}"
    if getattr(cause, "reason", "") in _NOT_TLS:
        return "it does not speak TLS; write http:// in place of https://"
    if isinstance(cause, OSError) and cause.errno and not hasattr(cause, "library"):
        return os.strerror(cause.errno)
    return (str(cause).splitlines() or [""])[0][:200] or type(cause).__name__


@dataclass(frozen=True, slots=True)
class ObservedResponse:
    """One response to a request for `url`."""

    url: str
    status: int
    fields: Fields = ()
    body: bytes = b""
    """As sent, perhaps cut; still in its content coding where a header says so."""
    verified: bool = True
    """False: it came over a connection whose certificate is not to be trusted."""
    method: str = "GET"
    request: Fields = ()

    def values(self, name: str) -> tuple[str, ...]:
        """The values of all lines of this name (any case), one character for each byte, trimmed."""
        key = name.lower().encode("latin-1")
        return tuple(
            value.decode("latin-1").strip(_WS)
            for found, value in self.fields
            if found.lower() == key
        )

    def first(self, name: str) -> str:
        """The first value of this name, or ""."""
        return next(iter(self.values(name)), "")

    @property
    def place(self) -> SplitResult:
        """The parts of `url`; of an address that cannot be read, none."""
        return split(self.url)

    @property
    def media_type(self) -> str:
        """The media type in lower case without parameters, or ""."""
        return self.first("content-type").partition(";")[0].strip(_WS).lower()

    @property
    def charset(self) -> str:
        """The charset that the Content-Type names, or ""."""
        _, _, rest = self.first("content-type").lower().partition("charset=")
        return rest.partition(";")[0].strip(" \t\"'")

    @property
    def target(self) -> str:
        """The address that it redirects to, or ""."""
        location = self.first("location") if self.status in REDIRECTS else ""
        return join(self.url, location) if location else ""

    def facts(self) -> Facts:
        """The request as a rule sees it: host in lower case with its port, path without query."""
        from sidecar.policy.rules.conditions import Facts  # the client does without it

        parts = self.place
        target = (parts.netloc.rpartition("@")[2].lower(), parts.path or "/", parts.scheme)
        fields = list(self.fields)
        return Facts(self.method, *target, list(self.request), self.status, fields)


def split(url: str) -> SplitResult:
    """The parts of an address; of one that cannot be read, none."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - the port is read lazily, and raises when it is no number
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def complete(url: str, scheme: str = "https") -> str:
    """An address as typed, with the scheme that it lacks.

    Raises:
        NoResponse: it is no http or https address.
    """
    full = url if "://" in url else f"{scheme}://{url}"
    parts = split(full)
    host = parts.hostname or ""
    if parts.scheme not in SCHEMES or not _HOST.fullmatch(host) or parts.port == 0:
        raise NoResponse(f"unknown address {url!r}; write {scheme}://HOST/PATH")
    return full


def join(base: str, reference: str) -> str:
    """The address that a reference on a page means; "" where it cannot be read."""
    try:
        return urljoin(base, reference)
    except ValueError:
        return ""


def target_of(parts: SplitResult) -> str:
    """What a request for an address asks for: path and query."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def without_query(url: str) -> str:
    """An address fit to be shown: no user, password, query or fragment."""
    parts = split(url)
    host = parts.netloc.rpartition("@")[2]
    return quote(f"{parts.scheme}://{host}{parts.path or '/'}", safe=_URI)
