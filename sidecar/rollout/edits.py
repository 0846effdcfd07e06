"""Edits of a policy's text that change one word and keep every other byte."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.terms import Path, PolicyError, Problem
from sidecar.source import SourceText, load_policy


@lru_cache(2)
def policy_of(text: str, name: str) -> Resolved:
    """What a text means, read once: an order asks for the text before and after it several times.

    Raises: PolicyError as `load_policy`.
    """
    return load_policy(text.encode(), name)


def difference(before: str, after: str, left: str, right: str) -> str:
    """The lines that differ in two texts of these names, as a unified diff."""
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    return "".join(difflib.unified_diff(old, new, left, right))


@dataclass(frozen=True, slots=True)
class TextEdit:
    """Characters `start` to `end` of a text become `text`."""

    start: int
    end: int
    text: str


def applied(text: str, edits: Iterable[TextEdit]) -> str:
    """The text with all edits made; they must not overlap."""
    ordered = sorted(edits, key=lambda edit: edit.start)  # of two at one place the first is first
    for edit in reversed(ordered):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def set_word(source: SourceText, path: Path, key: str, word: str) -> TextEdit:
    """The one edit that makes `key:` of the mapping at `path` say `word`; a rule that comes from a
    preset gets an override.

    Raises:
        PolicyError: the text's form has no place for it.
    """
    text, newline, entry = source.text, line_end(source.text), f"{key}: {word}"
    held = source.spans.get((*path, key))
    if held is not None:
        anchor = re.match(r"&\S+\s+", text[held.start : held.end])
        kept = anchor.group() if anchor and held.style == "scalar" else ""
        quote = text[held.end - 1] if held.style == "scalar" and text[held.end - 1] in "'\"" else ""
        return TextEdit(held.start + len(kept), held.end, f"{quote}{word}{quote}")
    here = source.spans.get(path)
    message, fix = "this rule is written as an alias", f"write it out to give it a {key} of its own"
    if here is None:
        path, entry = ("rules",), f"{path[-1]}: {{{entry}}}"
        message, fix = "rules is not written as a mapping here", "write it out"
        here = source.spans.get(path)
        if here is None:
            return TextEdit(len(text), len(text), f"  {entry}{newline}")
    if here.style not in ("flow", "block"):
        raise PolicyError((source.place(Problem(message, fix, path)),))
    if here.style == "flow":
        end = "" if text[here.inside] == "}" else ", "
    else:
        end = f"{newline}{indent(text, here.inside)}"
    return TextEdit(here.inside, here.inside, f"{entry}{end}")


def edited(source: SourceText, edits: Sequence[TextEdit]) -> tuple[str, Resolved]:
    """The text with all edits made, and what it then means.

    Raises:
        PolicyError: it is no policy then.
    """
    text, found = source.text, [*edits]
    if any(edit.start == len(text) for edit in edits) and ("rules",) not in source.spans:
        # The first override of a preset's rule needs a line above it.
        newline, end = line_end(text), len(text)
        found.insert(
            0, TextEdit(end, end, f"{'' if text.endswith(chr(10)) else newline}rules:{newline}")
        )
    made = applied(text, found)
    try:
        return made, policy_of(made, source.name)
    except PolicyError as error:
        hint = by_hand(source, "the file's form does not allow the edit")
        raise PolicyError((*hint.problems, *error.problems)) from error


def by_hand(source: SourceText, message: str) -> PolicyError:
    """Why a person has to make an edit."""
    return PolicyError((Problem(message, "make it by hand", file=source.name),))


def line_end(text: str) -> str:
    """The line ending that a text uses."""
    return "\r\n" if "\r\n" in text else "\n"


def indent(text: str, position: int) -> str:
    """As many spaces as the position has characters before it on its line."""
    return " " * (position - max(text.rfind("\n", 0, position), text.rfind("\r", 0, position)) - 1)
