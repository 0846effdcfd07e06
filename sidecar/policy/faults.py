"""What a grammar finds wrong in a header value: a kind from a closed list, its text, its fix.

The texts of the kinds are in `faults.json`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

from sidecar.policy.data import read_table

FaultVerdict: TypeAlias = Literal["invalid", "weak"]
"""invalid: browsers ignore the value or this part of it; weak: they obey it and protect less."""

MAX_TEXT = 65_536
"""Values are read up to here, in characters (= bytes); what follows is not judged."""

_ROWS = read_table("sidecar.policy", "faults.json")
_SHOWN = 60
_LETTERS = re.compile(r"[^a-z0-9]")
# A nonce is a secret of one response: it may reach neither logs nor reports.
_NONCE = re.compile(r"(?i)(nonce-)(?!\{request\}')[^'\s]+")


class FaultKind(StrEnum):
    """The base of each module's closed list of kinds: `NAME = "code"`, with a row in `faults.json`.

    In text and fix, `{part}` stands for the part at fault and `{hint}` for what is known about it.
    """

    verdict: FaultVerdict
    text: str
    fix: str
    severity: Literal["warning", "info"]
    """What it is to `check`: a call for a change, or good to know."""
    absent: bool
    """Whether something is missing: of a value that is merged into another, that says little."""

    def __new__(cls, code: str) -> FaultKind:  # noqa: PYI034
        """Make a member whose value is the kind's name in events and reports."""
        kind = str.__new__(cls, code)
        kind._value_ = code
        row = _ROWS[code]
        kind.verdict, kind.text, kind.fix = row["verdict"], row["text"], row["fix"]
        kind.severity, kind.absent = row.get("severity", "warning"), row.get("absent", False)
        return kind

    def hint_for(self, part: str) -> str:
        """What is known about a part that came without a hint, for a person who reads it."""
        return ""

    def about(self, part: str = "", hint: str = "") -> Fault:
        """A fault of this kind; `part` may be any text, `hint` comes from our own tables."""
        return Fault(self, excerpt(part), hint)


class Fault(NamedTuple):
    """One thing wrong in a value. `part` (directive, key or token at fault) is safe to print."""

    kind: FaultKind
    part: str = ""
    hint: str = ""

    @property
    def verdict(self) -> FaultVerdict:
        """Whether browsers ignore it or obey it."""
        return self.kind.verdict

    @property
    def text(self) -> str:
        """What is wrong, and what follows from it, in one sentence."""
        return self.kind.text.format(part=self.part, hint=self._known)

    @property
    def fix(self) -> str:
        """What to write instead."""
        return self.kind.fix.format(part=self.part, hint=self._known)

    @property
    def _known(self) -> str:
        return self.hint or self.kind.hint_for(self.part)


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.75) -> str:
    """The known word nearest to a misspelt one, in any case and punctuation; "" = none is near.

    `cutoff` is the likeness from which on a word is near, as difflib measures it; short words need
    less.
    """
    by_letters = {_LETTERS.sub("", one.lower()): one for one in known}
    near = difflib.get_close_matches(_LETTERS.sub("", word.lower()), by_letters, n=1, cutoff=cutoff)
    return by_letters[near[0]] if near else ""


def excerpt(text: str) -> str:
    """At most 60 characters of a text, in visible ASCII, nonces replaced."""
    shown = _NONCE.sub(r"\1...", text[: _SHOWN * 2])
    shown = shown[:_SHOWN].encode("ascii", "backslashreplace").decode()
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", shown)
