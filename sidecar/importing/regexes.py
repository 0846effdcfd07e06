r"""Regular expressions of other servers as path globs, where that is exact.

Only the few constructs that configurations use: `^/api/`, `\.(?:css|js|woff2?)$`, `.*`. All others
are refused, never guessed.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from sidecar.importing.paths import ALL, Pattern, meet

MAX_ALTERNATIVES = 200
MAX_DEPTH = 16
_ANY = "\0"
"""Stands for .* in an alternative."""
_TOKEN = re.compile(
    r"(?P<any>\.\*)|(?P<open>\((?:\?:)?)|(?P<close>\))|(?P<or>\|)|(?P<start>\^)|(?P<end>\$)"
    r"|(?P<maybe>\?)|\[(?P<set>[\w.]+)\]|\\(?P<escaped>[\W_])|(?P<plain>[^\\.*+?{}\[\]()|^$])"
)
_Tokens: TypeAlias = list[tuple[str, str]]
"""The kind of each token, and what it stands for."""


class _Inexpressible(ValueError):  # noqa: N818 - no error of the source, but no glob expresses it
    pass


def path_patterns(
    regex: str, lines: tuple[str, ...] = (), *, in_name: bool = False
) -> tuple[Pattern, ...] | None:
    """The paths that an unanchored search of the expression finds; None when no globs can.

    `in_name`: it is searched in the path's last segment only.
    """
    try:
        found = [
            pattern for text in _whole(regex) for pattern in _pattern(text, lines, in_name=in_name)
        ]
    except _Inexpressible:
        return None
    return tuple(dict.fromkeys(found))


def alternatives(regex: str) -> tuple[str, ...] | None:
    """The texts that a search of the expression finds, * for any run; None when there are more."""
    try:
        return tuple(text.replace(_ANY, "*") for text in _whole(regex))
    except _Inexpressible:
        return None


def _pattern(text: str, lines: tuple[str, ...], *, in_name: bool) -> tuple[Pattern, ...]:
    if in_name and not text.startswith(_ANY):
        text = f"{_ANY}/{text}"
    parts = text.split(_ANY)
    inside = in_name and ("/" in parts[-1][1:] or (len(parts) == 2 and parts[0]))
    if len(parts) > 2 or inside or "*" in text:
        raise _Inexpressible
    if len(parts) == 1:
        return (Pattern(text, None, lines),) if text.startswith("/") else ()
    return meet(Pattern(parts[0], parts[1], lines), ALL)


def _whole(regex: str) -> list[str]:
    """Every text that it finds, with _ANY at the ends that are not anchored."""
    tokens: _Tokens = []
    at = 0
    while at < len(regex):
        token = _TOKEN.match(regex, at)
        if token is None:
            raise _Inexpressible
        tokens.append((token.lastgroup or "", token[token.lastgroup or 0]))
        at = token.end()
    tokens.reverse()  # the next one is the last
    found: list[str] = []
    while True:
        start = "" if _next_is("start", tokens) else _ANY
        texts = _sequence(tokens, 0)
        end = "" if _next_is("end", tokens) else _ANY
        found += (re.sub(f"{_ANY}+", _ANY, start + text + end) for text in texts)
        if len(found) > MAX_ALTERNATIVES:
            raise _Inexpressible
        if not _next_is("or", tokens):
            break
    if tokens:
        raise _Inexpressible
    return list(dict.fromkeys(found))


def _next_is(kind: str, tokens: _Tokens) -> bool:
    """Whether the next token is of this kind; then it is taken."""
    if tokens and tokens[-1][0] == kind:
        tokens.pop()
        return True
    return False


def _sequence(tokens: _Tokens, depth: int) -> list[str]:
    texts = [""]
    while tokens and tokens[-1][0] in ("any", "open", "set", "escaped", "plain"):
        items = _item(tokens, depth)
        texts = [one + two for one in texts for two in items]
        if len(texts) > MAX_ALTERNATIVES:
            raise _Inexpressible
    return texts


def _item(tokens: _Tokens, depth: int) -> list[str]:
    kind, text = tokens.pop()
    if kind == "any":
        return [_ANY]
    texts = list(text)
    if kind == "open":
        if depth >= MAX_DEPTH:
            raise _Inexpressible
        texts = _sequence(tokens, depth + 1)
        while _next_is("or", tokens):
            texts += _sequence(tokens, depth + 1)
        if not _next_is("close", tokens) or len(texts) > MAX_ALTERNATIVES:
            raise _Inexpressible
    elif text in (_ANY, "*"):
        raise _Inexpressible
    return [*texts, ""] if _next_is("maybe", tokens) else texts
