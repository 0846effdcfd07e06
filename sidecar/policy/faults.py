"""What a grammar finds wrong in a header value: a code from a closed list, its text, its fix.

Each code has a row in `faults.json`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from sidecar.policy.data import read_table

FaultVerdict: TypeAlias = Literal["invalid", "weak"]
"""invalid: browsers ignore the value or this part of it; weak: they obey it and protect less."""
Hint: TypeAlias = str | Callable[[str], str]
"""What is known of the part at fault, or how to find it when a person reads the fault."""

MAX_TEXT = 65_536
"""Values are read up to here, in characters (= bytes); what follows is not judged."""

ROWS: Mapping[str, Mapping[str, Any]] = read_table("sidecar.policy", "faults.json")
"""Every code with its row: `verdict`, `text` and `fix`, in which `{part}` stands for the part at
fault and `{hint}` for what is known of it; `severity` to `check` where it is no warning; `absent`
where something is missing, which says little of a value that is merged into another.
"""
_SHOWN = 60
_LETTERS = re.compile(r"[^a-z0-9]")
# A nonce is a secret of one response: it may reach neither logs nor reports.
_NONCE = re.compile(r"(?i)(nonce-)(?!\{request\}')[^'\s]+")


class Fault(NamedTuple):
    """One thing wrong in a value. `part` (directive, key or token at fault) is safe to print."""

    code: str
    part: str = ""
    hint: Hint = ""

    @property
    def verdict(self) -> FaultVerdict:
        """Whether browsers ignore it or obey it."""
        verdict: FaultVerdict = ROWS[self.code]["verdict"]
        return verdict

    @property
    def text(self) -> str:
        """What is wrong, and what follows from it, in one sentence."""
        return self._filled("text")

    @property
    def fix(self) -> str:
        """What to write instead."""
        return self._filled("fix")

    def _filled(self, key: str) -> str:
        hint = self.hint if isinstance(self.hint, str) else self.hint(self.part)
        text: str = ROWS[self.code][key]
        return text.format(part=self.part, hint=hint)


def fault(code: str, part: str = "", hint: Hint = "") -> Fault:
    """A fault of a code; `part` may be any text, `hint` comes from our own tables."""
    return Fault(code, excerpt(part), hint)


SHORT = 0.65
"""The `cutoff` of `nearest` for words of three or four letters: GTE is near to GET."""


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
