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
    load_pair(context, tls.certificate, tls.key)
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """The context towards an https upstream, verification on; errors as `server_context`."""
    context = authorities(tls.upstream_ca)
    context.set_alpn_protocols(["http/1.1"])
    if tls.upstream_certificate:
        load_pair(context, tls.upstream_certificate, tls.upstream_key)
    return context


def load_pair(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    """Let a context show a certificate; the key may stand in its file. Errors as `server_context`.

    OpenSSL would ask the terminal for the passphrase of an encrypted key, and wait.
    """
    context.load_cert_chain(certificate, key, _no_passphrase)


def _no_passphrase() -> str:
    raise OSError("the key is encrypted; store it without a passphrase")


def unusable(error: OSError, *files: str | None) -> PolicyError:
    """What to say to the operator at start."""
    named = " and ".join(file for file in files if file)
    fix = "name a PEM chain and the key that belongs to it"
    return PolicyError((Problem(f"{named} cannot be used: {words_of(error)}", fix, ("tls",)),))


def words_of(error: OSError) -> str:
    """What is wrong, in the words of the system or of OpenSSL."""
    return _OF_OPENSSL.sub("", error.strerror or str(error))


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
