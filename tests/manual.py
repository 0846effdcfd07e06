"""The manual page, made from the command line itself; `python -m tests.documents --write` brings it
up to date.

The page in roff (man(7)).
"""

from __future__ import annotations

from collections.abc import Iterator

import click

import sidecar
from sidecar.cli import commands
from tests.cli import VERBS

_END = """\
.SH "EXIT STATUS"
.TP
0
Fine.
.TP
1
Findings, or refused: what was asked for cannot be done, and the message says what to do.
.TP
2
The command line is wrong.
.SH ENVIRONMENT
Every setting is a variable too, as SIDECAR_UPSTREAM or SIDECAR_TIMEOUTS__HEADER; a flag goes before it.
NO_COLOR takes the colours away.
.SH FILES
.TP
policy.yaml
The policy: what headers are wanted.
.TP
policy.test.yaml
Its tests.
.TP
sidecar.yaml
The settings: how the process runs.
"""  # noqa: E501


def text() -> str:
    """The page; ASCII, ends with a line feed."""
    front = click.Context(commands, info_name="sidecar", **commands.context_settings)
    lines = [
        f'.TH SIDECAR 1 "" "header-sidecar {sidecar.__version__}" "User Commands"',
        ".SH NAME",
        r"sidecar \- security headers beside one service, from report-only to enforce",
        ".SH SYNOPSIS",
        r".B sidecar",
        r"\fIVERB\fR [\fIOPTION\fR]... [\fIARGUMENT\fR]...",
        ".SH DESCRIPTION",
        *_paragraphs(commands.help or ""),
        ".SH VERBS",
    ]
    for name, verb in VERBS.items():
        lines += _verb(click.Context(verb, info_name=name, parent=front), verb)
    return "\n".join(lines) + f"\n{_END}"


def _verb(context: click.Context, verb: click.Command) -> Iterator[str]:
    usage = " ".join(verb.collect_usage_pieces(context))
    yield f'.SS "{_plain(f"{context.command_path} {usage}")}"'
    yield from _paragraphs(verb.help or "")
    for param in verb.get_params(context):
        record = param.get_help_record(context)
        if record is not None:
            names, about = record
            yield ".TP"
            yield f".B {_plain(names)}"
            yield _plain(" ".join(about.split()))


def _paragraphs(written: str) -> Iterator[str]:
    for at, paragraph in enumerate(written.split("\n\n")):
        if at:
            yield ".PP"
        yield _plain(" ".join(paragraph.split()))


def _plain(words: str) -> str:
    """Text that roff prints as it stands."""
    shown = words.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown
