"""Traefik's router rules, as far as a policy can say them: Host, Path, PathPrefix, PathRegexp, joined by && and ||.

Facts: doc.traefik.io on routers. Must not know headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidecar.importing.paths import ALL, Pattern, meet
from sidecar.importing.regexes import path_patterns

_TOKEN = re.compile(r"\s*(?:(&&|\|\||[()!,])|(\w+)|`([^`]*)`|\"((?:\\.|[^\"\\])*)\")")
MAX_ALTERNATIVES = 100
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Ground:
    """One alternative of a rule: these hosts (() = all) and these paths."""

    hosts: tuple[str, ...]
    patterns: tuple[Pattern, ...]


class _Unsayable(ValueError):  # noqa: N818 - not an error of the rule, only more than a policy can say
    pass


def grounds(rule: str, lines: tuple[str, ...]) -> list[Ground] | None:
    """The alternatives of a rule; None when a policy cannot say it."""
    try:
        reader = _Reader(rule, lines)
        found = reader.either(0)
        return found if reader.at == len(reader.tokens) else None
    except _Unsayable:
        return None


class _Reader:
    """Reads a rule by its tokens, from left to right."""

    def __init__(self, rule: str, lines: tuple[str, ...]) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.at = 0
        self.lines = lines
        position, rule = 0, rule.rstrip()
        while position < len(rule):
            found = _TOKEN.match(rule, position)
            if found is None:
                raise _Unsayable
            kind = next(
                kind
                for kind, text in zip(("mark", "word", "text", "text"), found.groups(), strict=True)
                if text is not None
            )
            self.tokens.append((kind, next(text for text in found.groups() if text is not None)))
            position = found.end()

    def either(self, depth: int) -> list[Ground]:
        """Alternatives joined by ||."""
        found = self._both(depth)
        while self._eat("||"):
            found = [*found, *self._both(depth)]
        if len(found) > MAX_ALTERNATIVES:
            raise _Unsayable
        return found

    def _both(self, depth: int) -> list[Ground]:
        found = self._one(depth)
        while self._eat("&&"):
            found = [
                ground for one in found for two in self._one(depth) for ground in _joined(one, two)
            ]
            if len(found) > MAX_ALTERNATIVES:
                raise _Unsayable
        return found

    def _one(self, depth: int) -> list[Ground]:
        if depth > MAX_DEPTH:
            raise _Unsayable
        if self._eat("("):
            found = self.either(depth + 1)
            if not self._eat(")"):
                raise _Unsayable
            return found
        return [self._matcher(self._next("word"), self._arguments())]

    def _arguments(self) -> list[str]:
        texts: list[str] = []
        if not self._eat("("):
            raise _Unsayable
        while not self._eat(")"):
            texts.append(self._next("text"))
            self._eat(",")
        return texts

    def _matcher(self, name: str, texts: list[str]) -> Ground:
        if name == "Host":
            return Ground(tuple(text.lower() for text in texts), (ALL,))
        if name in ("Path", "PathPrefix") and not any(
            set("{*") & set(text) or not text.startswith("/") for text in texts
        ):
            return Ground(
                (),
                tuple(
                    Pattern(text, "" if name == "PathPrefix" else None, self.lines)
                    for text in texts
                ),
            )
        if name == "PathRegexp" and len(texts) == 1:
            patterns = path_patterns(texts[0], self.lines)
            if patterns is not None:
                return Ground((), patterns)
        raise _Unsayable

    def _next(self, kind: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != kind:
            raise _Unsayable
        self.at += 1
        return self.tokens[self.at - 1][1]

    def _eat(self, mark: str) -> bool:
        found = self.at < len(self.tokens) and self.tokens[self.at] == ("mark", mark)
        self.at += found
        return found


def _joined(one: Ground, two: Ground) -> list[Ground]:
    hosts = (
        tuple(host for host in one.hosts if host in two.hosts)
        if one.hosts and two.hosts
        else one.hosts or two.hosts
    )
    patterns = tuple(
        dict.fromkeys(
            pattern
            for first in one.patterns
            for second in two.patterns
            for pattern in meet(first, second)
        )
    )
    return (
        [Ground(hosts, patterns)] if patterns and (hosts or not (one.hosts and two.hosts)) else []
    )
