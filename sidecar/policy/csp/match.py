"""Whether a Content Security Policy lets one thing through: an address, or inline code.

Source: CSP Level 3 sections 6.7.2 (addresses) and 6.7.3 (inline).
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from sidecar.policy.csp import CspPolicy, effective
from sidecar.policy.csp.sources import REQUEST_NONCE, SourceExpression, source_list

_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_UPGRADES = {"http": ("https",), "ws": ("wss", "http", "https"), "wss": ("https",)}
_NETWORK = frozenset(_PORTS)
_SCRIPTS = ("script-src", "script-src-elem", "script-src-attr", "worker-src")


class Address(NamedTuple):
    """The parts of a URL that sources match; `path` is "/" where there is none."""

    scheme: str
    host: str
    port: str
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host, and the port where it is not the scheme's own."""
        port = "" if self.port in ("", _PORTS.get(self.scheme)) else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def address(url: str) -> Address | None:
    """Read a URL with a scheme; `data:` and its like have no host. None = not a URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if not scheme:
        return None
    return Address(scheme, host, str(port or _PORTS.get(scheme, "")), parts.path or "/")


def allows_address(policy: CspPolicy, directive: str, url: str, page: str) -> bool:
    """Whether the policy lets the directive load `url` on a page of the origin `page`."""
    governing = effective(policy, directive)
    if governing is None:
        return True
    target, own = address(url), address(page)
    if target is None:
        return False
    sources = source_list(governing.values)
    if "'strict-dynamic'" in sources and directive in _SCRIPTS:
        return False  # a script needs a nonce, or a trusted script that loads it
    return any(matches(one, target, own) for one in sources.values())


def allows_inline(policy: CspPolicy, directive: str, digest: str) -> bool:
    """Whether inline code of this digest (`sha256-...`, without quotes) runs without a nonce.

    `directive` is script-src-elem, script-src-attr, style-src-elem or style-src-attr.
    """
    governing = effective(policy, directive)
    if governing is None:
        return True
    sources = source_list(governing.values)
    switched_off = any(  # section 6.7.3.2
        source.shape in ("nonce", "hash")
        or (source.key == "'strict-dynamic'" and directive in _SCRIPTS)
        for source in sources.values()
    )
    if "'unsafe-inline'" in sources and not switched_off:
        return True
    if directive.endswith("-attr") and "'unsafe-hashes'" not in sources:
        return False
    return bool(digest) and f"'{digest}'" in sources


def allows_nonce(policy: CspPolicy, directive: str) -> bool:
    """Whether the policy lets an element with the response's own nonce in."""
    governing = effective(policy, directive)
    return governing is None or REQUEST_NONCE in source_list(governing.values)


def matches(
    source: SourceExpression, target: Address, own: Address | None, *, redirected: bool = False
) -> bool:
    """Whether one source lets an address through, on a page of the origin `own`.

    After a redirect the path of a source does not count (section 6.7.2.8).
    """
    if source.key == "'self'":
        return own is not None and _is_own(target, own)
    if source.shape == "any":
        return target.scheme in _NETWORK or (own is not None and target.scheme == own.scheme)
    if source.shape == "scheme":
        return _scheme(source.scheme, target.scheme)
    if source.shape != "host" or not target.host:
        return False
    scheme = source.scheme or (own.scheme if own else "")
    return (
        _scheme(scheme, target.scheme)
        and _host(source.host, target.host)
        and _port(source.port, scheme, target)
        and (redirected or _path(source.path, target.path))
    )


def _is_own(target: Address, own: Address) -> bool:
    if (target.scheme, target.host, target.port) == (own.scheme, own.host, own.port):
        return True
    defaults = own.port == _PORTS.get(own.scheme) and target.port == _PORTS.get(target.scheme)
    return (
        own.host == target.host
        and (own.port == target.port or defaults)
        and (target.scheme in ("https", "wss") or (own.scheme, target.scheme) == ("http", "ws"))
    )


def _scheme(wanted: str, found: str) -> bool:
    return wanted == found or found in _UPGRADES.get(wanted, ())


def _host(wanted: str, found: str) -> bool:
    return wanted in ("*", found) or (wanted.startswith("*.") and found.endswith(wanted[1:]))


def _port(wanted: str, scheme: str, target: Address) -> bool:
    if not wanted:
        return target.port == _PORTS.get(target.scheme)
    upgraded = wanted == "80" and target.port == "443" and _scheme(scheme, target.scheme)
    return wanted in ("*", target.port) or upgraded


def _path(wanted: str, found: str) -> bool:
    if wanted in ("", "/"):
        return True
    wanted, found = unquote(wanted), unquote(found)
    return found.startswith(wanted) if wanted.endswith("/") else found == wanted
