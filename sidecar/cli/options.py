"""Options that several verbs take, and the files that they name, read whole."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click
from click.core import ParameterSource

from sidecar.policy.terms import PolicyError, Problem

if TYPE_CHECKING:
    import ssl

    from sidecar.observed import ObservedResponse

T = TypeVar("T")

PATH = click.Path(path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
"""A file that is there."""


NEW_FILE = click.Path(dir_okay=False, path_type=Path)
"""A file that is written, or that a verb reads where it is there."""

JSON = click.option("--json", "machine", is_flag=True, help="JSON on stdout.")
CACERT = click.option(
    "--cacert", type=FILE, help="Trust these certificate authorities (PEM) and no others."
)
INSECURE = click.option("--insecure", is_flag=True, help="Accept any certificate.")
POLICY_TO_READ = click.option(
    "--policy",
    "file",
    type=PATH,
    default=Path("policy.yaml"),
    envvar="SIDECAR_POLICY",
    help="Policy file.",
)


def together(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator."""

    def decorate(verb: Any) -> Any:
        for option in reversed(options):
            verb = option(verb)
        return verb

    return decorate


SERVICE = together(
    click.option("--config", type=PATH, envvar="SIDECAR_CONFIG", help="Settings file."),
    click.option("--policy", help="Policy file. [default: policy.yaml]"),
    click.option("--upstream", metavar="URL", help="The service. [default: http://127.0.0.1:8000]"),
)
"""What runs: the settings file, and flags over it."""


class ParsedOption(click.ParamType[T], Generic[T]):
    """What a function makes of an option's text; its ValueError is a usage error."""

    def __init__(self, name: str, parse: Callable[[object], T]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """The value, or the usage error."""
        if ctx is not None and param is not None:
            ctx.meta[f"{__name__}.{param.name}"] = value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def as_given(*besides: str) -> str:
    """The options as they were written on the command line, for another command that takes the
    same; without those of these names.
    """
    context = click.get_current_context()
    words: list[str] = []
    for param in context.command.params:
        name = param.name or ""
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE or name in besides:
            continue
        words.append(max(param.opts, key=len))
        if not (isinstance(param, click.Option) and param.is_flag):
            words.append(str(context.meta.get(f"{__name__}.{name}", context.params.get(name))))
    return shlex.join(words)


def format_options(
    *formats: str, text: str = "How the result is printed."
) -> Callable[[Callable[..., object]], Any]:
    """--format, and --json for the same as --format json; the verb gets `form`.

    The first format is the default; `text` is the help.
    """
    choice = click.option(
        "--format", "form", type=click.Choice(formats), default=formats[0], help=text
    )
    as_json = click.option("--json", "machine", is_flag=True, help="The same as --format json.")

    def decorate(verb: Callable[..., object]) -> Any:
        @wraps(verb)
        def run(*args: Any, form: str, machine: bool, **options: Any) -> object:
            return verb(*args, form="json" if machine else form, **options)

        return choice(as_json(run))

    return decorate


def header_line(text: object) -> tuple[str, str]:
    """Name and value of a header as it is typed."""
    name, colon, value = str(text).partition(":")
    if not colon or not name.strip():
        raise ValueError(f"unknown header {text!r}; write NAME:VALUE")
    return name.strip(), value.strip()


HEADER = ParsedOption("header", header_line)


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
        hint = f"; a first one is written by: {first}" if first else ""
        raise click.UsageError(f"{file}: {error.strerror}{hint}") from error
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror or error}") from error
    if len(data) > most:
        raise click.UsageError(f"{file}: it is larger than {most >> 20} MiB; give a smaller one")
    return data


def read_text(file: Path, *, first: str = "") -> str:
    """A text file's text; `first` as for `read_bytes`.

    Raises:
        UsageError: it cannot be read.
        PolicyError: it is not UTF-8.
    """
    data = read_bytes(file, first=first)
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
