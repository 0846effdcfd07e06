"""The kinds of values that settings take: addresses, URLs, networks, names, shares; each refuses
with what to write.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from sidecar.policy.terms import HOST
from sidecar.policy.values import Duration, header_name, percentage


def _address(value: object) -> object:
    text = str(value)
    if text.startswith("unix:"):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not host or "/" in host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"unknown address {text!r}; write HOST:PORT, as 127.0.0.1:18000")
    return text


def is_loopback(address: str) -> bool:
    """True for unix sockets, localhost and loopback addresses of a HOST:PORT text."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _upstream(value: object) -> object:
    text = str(value)
    parts = urlsplit(text)
    if parts.scheme == "unix":
        if not parts.path.startswith("/"):
            raise ValueError(f"unknown upstream {text!r}; write unix:/path/to/socket")
        return text
    if not _is_url(text, "http", "https"):
        raise ValueError(
            f"unknown upstream {text!r}; write http://HOST:PORT, https://HOST:PORT or unix:/path"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise ValueError(
            f"upstream {text!r} has more than scheme, host and port; the target passes as the"
            " client sent it"
        )
    return text


def _networks(value: object) -> object:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise ValueError("write a list of networks, as [10.0.0.0/8]")
    for item in items:
        try:
            ipaddress.ip_network(str(item).strip())
        except ValueError as error:
            raise ValueError(f"unknown network {item!r}; write 10.0.0.0/8 or fd00::/8") from error
    return tuple(str(item).strip() for item in items)


def _load_share(value: object) -> object:
    """`1%` as 0.01, `0%` as 0; a float is one that was read before."""
    if isinstance(value, float) and 0 <= value <= 1:
        return value
    return 0.0 if str(value) == "0%" else percentage(value)


def _lasting(value: float) -> float:
    if value <= 0:
        raise ValueError("a timeout of 0s would end everything; where there is no limit, write 24h")
    return value


def _nonce_name(value: object) -> object:
    """A header name that no other setting or rule of forwarding gives a meaning; `off` may be
    read as false by YAML.
    """
    if value is False or value == "off":
        return "off"
    return _own_name(value, "X-CSP-Nonce")


def _request_id_name(value: object) -> object:
    return _own_name(value, "X-Request-ID")


def _own_name(value: object, example: str) -> str:
    name = header_name(value)
    if "_" in name:
        raise ValueError(f"services read {name!r} as another name; write it with hyphens")
    if name.lower() in _FORWARDED or name.lower().startswith("x-forwarded-"):
        raise ValueError(f"{name} has another meaning; choose a name of its own, as {example}")
    return name


def _host_sent(value: object) -> object:
    text = str(value)
    if text.lower() in ("pass", "rewrite"):
        if text != text.lower():
            raise ValueError(f"unknown host {text!r}; write {text.lower()}")
        return text
    if not re.fullmatch(HOST, text):
        raise ValueError(f"unknown host {text!r}; write pass, rewrite or a name, as shop.example")
    return text


def _fleet_url(value: object) -> object:
    """Never quoted in an error: it may hold a password."""
    text = str(value)
    try:
        right = _is_store(text)
    except ValueError:  # its words would quote the URL
        right = False
    if not right:
        raise ValueError(
            "unknown store; write redis://HOST:PORT, rediss://HOST:PORT, unix:///path, or "
            "redis+sentinel://HOST:PORT,HOST:PORT/MASTER"
        )
    return text


def _is_store(text: str) -> bool:
    """Whether it is the URL of a store; raises ValueError as `urlsplit` does."""
    parts = urlsplit(text)
    if parts.scheme in ("redis+sentinel", "rediss+sentinel"):
        sentinels = parts.netloc.rpartition("@")[2].split(",")
        master, _, database = parts.path.strip("/").partition("/")
        named = bool(master) and (not database or database.isdecimal())
        return named and all(_is_url(f"redis://{one}", "redis") for one in sentinels)
    if parts.scheme == "unix":
        return parts.path.startswith("/")
    return _is_url(text, "redis", "rediss")


def _is_url(text: str, *schemes: str) -> bool:
    """Whether it is a URL of one of these schemes that names a host, and a port, if any, above
    0.
    """
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _traces_url(value: object) -> object:
    text = str(value)
    if not _is_url(text, "http", "https"):
        raise ValueError(f"unknown collector {text!r}; write http://HOST:PORT/v1/traces")
    return text


def _fleet_name(value: object) -> object:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", str(value)):
        raise ValueError(f"unknown fleet name {value!r}; write letters, digits, '.', '_' and '-'")
    return str(value)


def _quorum(value: object) -> object:
    """`2` as 2 replicas, `50%` as the share 0.5; a float is one that was read before."""
    if isinstance(value, float) and 0 < value <= 1:
        return value
    text = str(value)
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if not text.endswith("%"):
        raise ValueError(f"unknown quorum {value!r}; write a number of replicas, as 2, or 50%")
    return percentage(text)


_TEXT = WithJsonSchema({"type": "string"})
_FORWARDED = frozenset(
    {"host", "cookie", "authorization", "forwarded", "via", "x-real-ip", "expect"}
)
Address = Annotated[str, BeforeValidator(_address), _TEXT]
Upstream = Annotated[str, BeforeValidator(_upstream), _TEXT]
Networks = Annotated[
    tuple[str, ...],
    BeforeValidator(_networks),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),
]
Lasting = Annotated[Duration, AfterValidator(_lasting)]
"""A duration that is not zero."""
HostSent = Annotated[str, BeforeValidator(_host_sent), _TEXT]
RequestIdName = Annotated[str, BeforeValidator(_request_id_name), _TEXT]
NonceName = Annotated[str, BeforeValidator(_nonce_name), _TEXT]
Count = Annotated[int, Field(ge=1)]
Workers = Annotated[int, Field(ge=1, le=64)]
Introduced = Annotated[
    Literal["off", "required"], BeforeValidator(lambda value: "off" if value is False else value)
]
FleetUrl = Annotated[str, BeforeValidator(_fleet_url), _TEXT]
Quorum = Annotated[int | float, BeforeValidator(_quorum), _TEXT]
"""Whole: so many replicas. With a point: a share of them, 1.0 = all."""
TracesUrl = Annotated[str, BeforeValidator(_traces_url), _TEXT]
FleetName = Annotated[str, BeforeValidator(_fleet_name), _TEXT]
LoadShare = Annotated[float, BeforeValidator(_load_share), _TEXT]
