"""Caddy's request matchers that a policy has: path, not path, path_regexp, header, protocol.

Facts: caddyserver.com/docs/caddyfile/matchers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.importing.draft import SourceLine, When
from sidecar.importing.paths import ALL, Pattern, meet
from sidecar.importing.regexes import path_patterns
from sidecar.importing.syntax import Block, ConfigDirective


@dataclass(frozen=True, slots=True)
class Matcher:
    """All of `paths` hold (a path of each tuple, or of none where negated), and so does `when`."""

    paths: tuple[tuple[bool, tuple[Pattern, ...]], ...] = ()
    when: When = ()
    length: int = 0
    """Of its only path, for Caddy's order; 0 = it has none, or several."""

    def patterns(self) -> tuple[Pattern, ...]:
        """Every pattern on which it depends."""
        return tuple(pattern for _, group in self.paths for pattern in group)

    def covers(self, region: Pattern) -> bool:
        """True when the region's paths match."""
        return all(
            any(pattern.covers(region) for pattern in group) != negated
            for negated, group in self.paths
        )


def split(item: ConfigDirective) -> tuple[str, tuple[str, ...]]:
    """A directive's matcher word ("" = none) and its other words."""
    first = item.args[0] if item.args else ""
    marked = first.startswith(("/", "@")) or first == "*"
    return (first, item.args[1:]) if marked else ("", item.args)


def matcher(word: str, named: Mapping[str, Block], where: SourceLine) -> Matcher | None:
    """What a matcher word means; None when a policy cannot express it.

    Args:
        word: a path, *, @name or "".
        named: the lines of each named matcher in scope.
        where: where the word stands.
    """
    if word in ("", "*"):
        return Matcher()
    if word.startswith("/"):
        return _lines((ConfigDirective("path", (word,), where),))
    return _lines(named[word]) if word in named else None


def definitions(block: Block) -> dict[str, Block]:
    """The named matchers of a block: their lines by name with @."""
    return {
        item.name: _one_line(item) or item.block or ()
        for item in block
        if item.name.startswith("@")
    }


def _one_line(item: ConfigDirective) -> Block:
    if not item.args:
        return ()
    return (ConfigDirective(item.args[0], item.args[1:], item.where, item.block),)


def _lines(lines: Block) -> Matcher | None:
    positive: list[Pattern] = []  # the values of several path lines are alternatives
    paths: list[tuple[bool, tuple[Pattern, ...]]] = []
    when: dict[str, object] = {}
    texts: list[str] = []
    for line in lines:
        inner: Block = (line,)
        if line.name == "not":
            inner = _one_line(line) if line.block is None else line.block
        if line.name == "not" and (len(inner) != 1 or inner[0].name not in ("path", "path_regexp")):
            return None
        for part in inner:
            group = _paths(part)
            if part.name not in ("path", "path_regexp"):
                if not _condition(part, when):
                    return None
            elif group is None:
                return None
            elif line.name == "path":
                positive += group
                texts += part.args
            else:
                paths.append((line.name == "not", group))
    if positive:
        paths.append((False, tuple(positive)))
    length = len(texts[0].rstrip("*")) if len(texts) == 1 else 0
    return Matcher(tuple(paths), tuple(when.items()), length)


def _paths(part: ConfigDirective) -> tuple[Pattern, ...] | None:
    lines = (str(part.where),)
    if part.name == "path_regexp":
        return path_patterns(part.args[-1], lines) if part.args else None
    found: list[Pattern] = []
    for text in part.args:
        if text == "*":
            found.append(ALL)
        elif text.startswith("/") and "*" not in text[:-1]:
            tail = "" if text.endswith("*") else None
            found.append(Pattern(text.removesuffix("*"), tail, lines))
        elif text.startswith("*") and "*" not in text[1:]:
            found += meet(Pattern("", text[1:], lines), ALL)
        else:
            return None
    return tuple(found)


def _condition(part: ConfigDirective, when: dict[str, object]) -> bool:
    """Note what a line says as a condition; False when it cannot be said."""
    if part.name == "protocol" and part.args in (("http",), ("https",)) and "scheme" not in when:
        when["scheme"] = part.args[0]
        return True
    if part.name != "header" or not part.args or len(part.args) > 2 or "{" in part.args[-1]:
        return False
    name, pattern = part.args[0], part.args[1] if part.args[1:] not in ((), ("*",)) else True
    is_absent = name.startswith("!")
    said: When = ((name[1:], False) if is_absent else (name, pattern),)
    known = when.get("request", ())
    when["request"] = (*known, *said) if isinstance(known, tuple) else said
    return True
