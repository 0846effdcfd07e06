"""The closed lists of a policy's words, and the problems of a text that cannot be used.

Apart from the models (`model`), as orders to a running sidecar need no pydantic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Mode: TypeAlias = Literal["off", "report-only", "trial", "enforce"]
Action: TypeAlias = Literal["set", "default", "append", "remove", "merge", "require", "forbid"]
ViolationKind: TypeAlias = Literal[
    "missing", "mismatch", "forbidden", "duplicate", "weak", "invalid"
]
Slashes: TypeAlias = Literal["stricter", "merge", "keep"]
Severity: TypeAlias = Literal["error", "warning", "info"]
Path: TypeAlias = tuple[str | int, ...]

MODES: tuple[Mode, ...] = get_args(Mode)
"""Lowest first."""
KINDS: tuple[ViolationKind, ...] = get_args(ViolationKind)
GIVING: frozenset[Action] = frozenset({"set", "default", "append", "merge"})
"""Actions that give a header a value."""
WRITING: frozenset[Action] = GIVING | {"remove"}
"""Actions that change what is sent; the others only judge."""
DEFAULT_ROUTE = "default"
HOST = r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,255})(?::([0-9]{0,5}))?"
"""A regex of what names a host, with or without a port, which is its group."""
METHODS = tuple(
    method
    for line in (
        "GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH",  # RFC 9110 section 9.3, RFC 5789
        "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY",
        "MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE ORDERPATCH PROPFIND PROPPATCH QUERY",
        "REBIND REPORT SEARCH UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF",
        "VERSION-CONTROL",
        "PURGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE",  # in use, not registered
    )
    for method in line.split()
)
"""IANA's registry of HTTP methods, and a few that occur; the proxy refuses all others."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One complaint about a text: where, how bad, what, and the fix.

    `path` leads to the place in the mapping; line and column count from 1, 0 = the whole file.
    """

    message: str
    fix: str = ""
    path: Path = ()
    severity: Severity = "error"
    file: str = ""
    line: int = 0
    column: int = 0
    at_key: bool = False
    """True when the key, not its value, is the wrong word."""
    code: str = ""
    """The stable name of a lint finding; "" where the text cannot be used at all."""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = f"{self.message}; {self.fix}" if self.fix else self.message
        text = f"{text} [{self.code}]" if self.code else text
        return f"{place}: {self.severity}: {text}" if place else f"{self.severity}: {text}"


class PolicyError(ValueError):
    """A text that cannot be put in force; carries every problem found, in the order of the text."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def lowest(*modes: Mode | None) -> Mode:
    """The ceiling rule: the lowest mode wins; None does not count, and all None = report-only."""
    ranks = [MODES.index(mode) for mode in modes if mode is not None]
    return MODES[min(ranks)] if ranks else "report-only"
