"""Certificates: of the data listener, and what is asked and shown at an https upstream.

`marks` tells whether the files have changed.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from sidecar.policy.terms import PolicyError, Problem
from sidecar.settings import Tls
from sidecar.trust import authorities

_OF_OPENSSL = re.compile(r"^\[[^]]*\] | \(_ssl\.c:\d+\)$")
"""What Python adds to OpenSSL's words: its codes, and a line of its own source."""


def server_context(tls: Tls) -> ssl.SSLContext:
    """The context of the data listener.

    Raises:
        OSError: (ssl.SSLError is one) when the files cannot be read or do not match.
    """
    assert tls.certificate is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(tls.certificate, tls.key)
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """The context towards an https upstream, verification on; errors as `server_context`."""
    context = authorities(tls.upstream_ca)
    context.set_alpn_protocols(["http/1.1"])
    if tls.upstream_certificate:
        context.load_cert_chain(tls.upstream_certificate, tls.upstream_key)
    return context


def unusable(error: OSError, *files: str | None) -> PolicyError:
    """What to say to the operator at start."""
    named = " and ".join(file for file in files if file)
    fix = "name a PEM chain and the key that belongs to it"
    why = _OF_OPENSSL.sub("", error.strerror or str(error))
    return PolicyError((Problem(f"{named} cannot be used: {why}", fix, ("tls",)),))


def marks(tls: Tls) -> list[tuple[int, int, int] | None]:
    """What changes when one of the listener's files does; None for one that is not there."""
    found: list[tuple[int, int, int] | None] = []
    for path in (tls.certificate, tls.key):
        try:
            data = Path(path or "").stat()
        except OSError:
            found.append(None)
        else:
            found.append((data.st_mtime_ns, data.st_size, data.st_ino))
    return found
