r"""Regular expressions of other servers as path globs, where that is exact.

Only the few constructs that configurations use: `^/api/`, `\.(?:css|js|woff2?)$`, `.*`. All others
are refused, never guessed.
"""

from __future__ import annotations

from sidecar.importing.paths import ALL, Pattern, meet

MAX_ALTERNATIVES = 200
MAX_DEPTH = 16
_ANY = "\0"
"""Stands for .* in an alternative."""


class _Inexpressible(ValueError):  # noqa: N818 - no error of the source, but no glob expresses it
    pass


def path_patterns(regex: str, lines: tuple[str, ...] = ()) -> tuple[Pattern, ...] | None:
    """The paths that an unanchored search of the expression finds; None when no globs can."""
    return _patterns(regex, lines, "")


def name_patterns(regex: str, lines: tuple[str, ...] = ()) -> tuple[Pattern, ...] | None:
    """As `path_patterns`, for an expression that is searched in a path's last segment only."""
    return _patterns(regex, lines, "/")


def alternatives(regex: str) -> tuple[str, ...] | None:
    """The texts that a search of the expression finds, * for any run; None when there are more."""
    try:
        return tuple(text.replace(_ANY, "*") for text in _Reader(regex).whole())
    except _Inexpressible:
        return None


def _patterns(regex: str, lines: tuple[str, ...], before: str) -> tuple[Pattern, ...] | None:
    try:
        texts = _Reader(regex).whole()
        found = [pattern for text in texts for pattern in _pattern(text, lines, before)]
    except _Inexpressible:
        return None
    return tuple(dict.fromkeys(found))


def _pattern(text: str, lines: tuple[str, ...], before: str) -> tuple[Pattern, ...]:
    if before and not text.startswith(_ANY):
        text = _ANY + before + text
    parts = text.split(_ANY)
    inside = before and ("/" in parts[-1][1:] or (len(parts) == 2 and parts[0]))
    if len(parts) > 2 or inside or "*" in text:
        raise _Inexpressible
    if len(parts) == 1:
        return (Pattern(text, None, lines),) if text.startswith("/") else ()
    return meet(Pattern(parts[0], parts[1], lines), ALL)


class _Reader:
    """Reads an expression once, from left to right, into all the texts that it stands for."""

    def __init__(self, regex: str) -> None:
        self.regex = regex
        self.at = 0
        self.depth = 0

    def whole(self) -> list[str]:
        """Every alternative, with _ANY at the ends that are not anchored."""
        found: list[str] = []
        while True:
            start = "" if self._eat("^") else _ANY
            texts = self._sequence()
            end = "" if self._eat("$") else _ANY
            found += (_tidy(start + text + end) for text in texts)
            if len(found) > MAX_ALTERNATIVES:
                raise _Inexpressible
            if not self._eat("|"):
                break
        if self.at < len(self.regex):
            raise _Inexpressible
        return list(dict.fromkeys(found))

    def _eat(self, token: str) -> bool:
        if self.regex.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def _sequence(self) -> list[str]:
        texts = [""]
        while self.at < len(self.regex) and self.regex[self.at] not in "|)$":
            items = self._item()
            texts = [one + two for one in texts for two in items]
            if len(texts) > MAX_ALTERNATIVES:
                raise _Inexpressible
        return texts

    def _item(self) -> list[str]:
        if self._eat(".*"):
            return [_ANY]
        if self._eat("(?:") or self._eat("("):
            texts = self._group()
        elif self._eat("["):
            texts = self._class()
        else:
            texts = [self._literal()]
        if self._eat("?"):
            texts = [*texts, ""]
        if self.regex[self.at : self.at + 1] in {"*", "+", "{", "?"}:
            raise _Inexpressible
        return texts

    def _group(self) -> list[str]:
        self.depth += 1
        if self.depth > MAX_DEPTH or self.regex.startswith("?", self.at):
            raise _Inexpressible
        texts = self._sequence()
        while self._eat("|"):
            texts += self._sequence()
        if not self._eat(")") or len(texts) > MAX_ALTERNATIVES:
            raise _Inexpressible
        self.depth -= 1
        return texts

    def _class(self) -> list[str]:
        end = self.regex.find("]", self.at)
        chars = self.regex[self.at : end]
        if end < 0 or not chars or any(not char.isalnum() and char not in "._" for char in chars):
            raise _Inexpressible
        self.at = end + 1
        return list(chars)

    def _literal(self) -> str:
        char = self.regex[self.at]
        self.at += 1
        if char == "\\":
            char = self.regex[self.at : self.at + 1]
            self.at += 1
            if not char or char.isalnum():
                raise _Inexpressible
        elif char in "^.*+?{}[]":
            raise _Inexpressible
        if char in (_ANY, "*"):
            raise _Inexpressible
        return char


def _tidy(text: str) -> str:
    while _ANY * 2 in text:
        text = text.replace(_ANY * 2, _ANY)
    return text
