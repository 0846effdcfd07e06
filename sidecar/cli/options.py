"""Options that several verbs take."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Generic, TypeVar

import click
from click.core import ParameterSource

T = TypeVar("T")

PATH = click.Path(path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
"""A file that is there."""


def absent(file: str | Path, first: str) -> click.UsageError:
    """The error for a file that is not there; `first`: the command that writes one, if any."""
    hint = f"; a first one is written by: {first}" if first else ""
    return click.UsageError(f"{file}: No such file or directory{hint}")


class Present(click.Path):
    """A file that is there; where it is not, the error names the command that writes one."""

    def __init__(self, first: str) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)
        self._first = first

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; raises UsageError."""
        if not Path(value).exists():
            raise absent(value, self._first)
        return super().convert(value, param, ctx)


NEW_FILE = click.Path(dir_okay=False, path_type=Path)
"""A file that is written."""

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
