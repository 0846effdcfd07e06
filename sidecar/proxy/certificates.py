"""Certificates: of the data listener, what is asked and shown at an https upstream, and what is
wrong with the files that settings name, before a listener needs them.

Validity is read from the certificate itself (RFC 5280, section 4.1): Python's `ssl` shows it of a
peer's certificate only.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sidecar.policy.terms import PolicyError, Problem
from sidecar.settings import Settings, Tls
from sidecar.trust import authorities

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")
_SEALED = re.compile(
    rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE
)
_UTC_TIME: Final = 0x17
_VERSION: Final = 0xA0
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

    def no_passphrase() -> str:
        raise OSError("the key is encrypted; store it without a passphrase")

    context.load_cert_chain(certificate, key, no_passphrase)


def _words_of(error: OSError) -> str:
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


def examined(settings: Settings, now: datetime) -> tuple[Problem, ...]:
    """Files that cannot be read, are no certificate or key, do not match, or are out of date.

    Args:
        settings: relative paths are those of the working folder, as for `run`.
        now: the moment at which certificates must be valid, with its zone.
    """
    tls = settings.tls
    found = [*_pair(tls.certificate, tls.key, "", now)]
    if settings.upstream.startswith("https:"):
        found += _pair(tls.upstream_certificate, tls.upstream_key, "upstream_", now)
        found += _authorities(tls.upstream_ca, now)
    return tuple(found)


def refused(error: OSError, settings: Settings) -> PolicyError:
    """What to say at start where the use of the files has ended in an error."""
    found = examined(settings, datetime.now(UTC))
    return PolicyError(found or (Problem(_words_of(error), "name other files", ("tls",)),))


def _pair(certificate: str | None, key: str | None, name: str, now: datetime) -> Iterator[Problem]:
    """Of a certificate chain and its key, which may stand in one file."""
    if certificate is None:
        return
    place = ("tls", f"{name}certificate")
    key_place = ("tls", f"{name}key") if key else place
    chain = _read(certificate, place)
    held = chain if key is None else _read(key, key_place)
    if isinstance(chain, Problem) or isinstance(held, Problem):
        yield from dict.fromkeys(one for one in (chain, held) if isinstance(one, Problem))
        return
    if not _PEM.search(chain):
        yield Problem(f"{certificate} holds no certificate", "name a PEM file", place)
        return
    if _SEALED.search(held):
        fix = "store it without a passphrase, in a file that only the sidecar may read"
        yield Problem(f"the key in {key or certificate} is encrypted", fix, key_place)
        return
    if not _KEY.search(held):
        fix = "name a PEM file" if key else f"add the key to it, or name its file in tls.{name}key"
        yield Problem(f"{key or certificate} holds no private key", fix, key_place)
        return
    try:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    except OSError as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            text = (
                f"the key in {key or certificate} is not that of the certificate in {certificate}"
            )
            fix = "name the key of the first certificate in the file"
            yield Problem(text, fix, key_place)
        else:
            text = f"{certificate} cannot be used: {_words_of(error)}"
            yield Problem(text, "name a PEM chain and the key that belongs to it", place)
        return
    yield from _dates(certificate, chain, place, now)


def _authorities(file: str | None, now: datetime) -> Iterator[Problem]:
    if file is None:
        return
    place = ("tls", "upstream_ca")
    data = _read(file, place)
    if isinstance(data, Problem):
        yield data
        return
    try:
        authorities(file)
    except OSError as error:
        text = f"{file} cannot be used: {_words_of(error)}"
        yield Problem(text, "name a PEM file of certificates", place)
    else:
        yield from _dates(file, data, place, now)


def _read(file: str, place: tuple[str, ...]) -> bytes | Problem:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        fix = "name a PEM file that this user may read"
        return Problem(f"{file} cannot be read: {error.strerror}", fix, place)


def _dates(file: str, data: bytes, place: tuple[str, ...], now: datetime) -> Iterator[Problem]:
    """Of each certificate in a file that is not valid now."""
    blocks = _PEM.findall(data)
    for number, block in enumerate(blocks, 1):
        which = f"{file}" if len(blocks) == 1 else f"certificate {number} of {file}"
        try:
            start, end = validity(ssl.PEM_cert_to_DER_cert(block.decode("ascii")))
        except (ValueError, IndexError):  # the library took it; how long it is valid is not known
            continue
        if now > end:
            yield Problem(f"{which} expired on {end:%Y-%m-%d %H:%M} UTC", "renew it", place)
        elif now < start:
            text = f"{which} is not valid before {start:%Y-%m-%d %H:%M} UTC"
            yield Problem(text, "wait, or correct the clock of this machine", place)


def validity(der: bytes) -> tuple[datetime, datetime]:
    """The first and the last moment of a certificate in DER, in UTC.

    Raises:
        ValueError, IndexError: it is no certificate.
    """
    _, at, _ = _element(der, 0)  # Certificate
    _, at, _ = _element(der, at)  # its TBSCertificate
    tag, _, _ = _element(der, at)
    skipped = 4 if tag == _VERSION else 3  # version, serial number, signature, issuer
    for _ in range(skipped):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)  # Validity
    first, at = _moment(der, at)
    last, _ = _moment(der, at)
    return first, last


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, and where the content begins and ends (X.690, section 8.1)."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(der[start : start + count], "big"), start + count
    return tag, start, start + length


def _moment(der: bytes, at: int) -> tuple[datetime, int]:
    tag, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:  # two digits of a year from 1950 to 2049
        text = f"{'19' if text >= '50' else '20'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC), end
