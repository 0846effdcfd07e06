"""Files of the operator's, read whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidecar.cli.options import absent
from sidecar.policy.terms import PolicyError, Problem

if TYPE_CHECKING:
    import ssl

    from sidecar.observed import ObservedResponse


def read_bytes(file: Path, most: int = 256 << 20, *, first: str = "") -> bytes:
    """A file's bytes; `-` is stdin.

    Args:
        file: which.
        most: bytes that are read.
        first: the command that writes a first one, for where there is none.

    Raises:
        UsageError: it cannot be read, or has more bytes than `most`.
    """
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(most + 1)
        else:
            with file.open("rb") as reading:
                data = reading.read(most + 1)
    except FileNotFoundError as error:
        raise absent(file, first) from error
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror or error}") from error
    if len(data) > most:
        raise click.UsageError(f"{file}: it is larger than {most >> 20} MiB; give a smaller one")
    return data


def read_text(file: Path) -> str:
    """A text file's text, without a byte order mark.

    Raises:
        UsageError: it cannot be read.
        PolicyError: it is not UTF-8.
    """
    data = read_bytes(file)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PolicyError(
            (Problem("the file is not UTF-8", "save it as UTF-8", file=str(file), line=line),)
        ) from error


def read_har(file: Path) -> tuple[ObservedResponse, ...]:
    """The responses of an HTTP archive.

    Raises:
        UsageError: it cannot be read.
        NoResponse: it is no archive, or holds no response.
    """
    from sidecar.observed.records import from_har

    return from_har(read_bytes(file), str(file))


def trust(cacert: Path | None, *, insecure: bool = False) -> ssl.SSLContext | None:
    """What certificates are checked by; None = the system's authorities.

    Raises:
        UsageError: the file of authorities cannot be used.
    """
    if cacert is None and not insecure:
        return None
    import ssl

    from sidecar.trust import authorities

    try:
        made = authorities(cacert)
    except OSError as error:
        raise click.UsageError(f"{cacert}: {error.strerror or error}") from error
    if insecure:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def read_token(file: Path) -> str:
    """The token in a file, fit for a header; what is none is not printed."""
    token = read_text(file).strip()
    if not (token.isascii() and token.isprintable()):
        raise click.UsageError(f"{file} holds no token: it must be one line of printable ASCII")
    return token
