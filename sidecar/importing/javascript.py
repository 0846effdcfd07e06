"""JavaScript object literals read as data, never run: what an options object says, as far as it says it by itself.

Must not know any library. Whatever is no literal becomes UNKNOWN, and reading goes on behind it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

MAX_DEPTH = 24
MAX_NAMES = 50


class Unknown(Enum):
    """A value that cannot be known without running the program."""

    UNKNOWN = 0


UNKNOWN: Final = Unknown.UNKNOWN
_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|\d[\d_]*(?:\.\d+)?(?:[eE]\+?\d+)?")
_NAME = re.compile(r"[A-Za-z_$][\w$]*(?:\??\.[A-Za-z_$][\w$]*)*")
_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "undefined": UNKNOWN}


class Reader:
    """Reads values from a place in a text on. `known` holds what declared names mean, each read once."""

    def __init__(self, text: str, at: int = 0, known: dict[str, object] | None = None) -> None:
        self.text = text
        self.at = at
        self.depth = 0
        self.known: dict[str, object] = {} if known is None else known

    def value(self) -> object:
        """The value that starts here, or UNKNOWN; afterwards the reader stands behind it."""
        self.skip()
        start = self.at
        found = self._literal()
        self.skip()
        if self._char() not in ",;:)]}" or found is UNKNOWN:
            # More follows: a call, an operator, a function. Only products and sums of numbers are worked out.
            product = self._product(found)
            if product is not None:
                return product
            self.at = start
            self._behind()
            return UNKNOWN
        return found

    def skip(self) -> None:
        """Go behind spaces and comments."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _char(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ";"

    def _literal(self) -> object:
        char = self._char()
        if char == "{" and self.depth < MAX_DEPTH:
            return self._object()
        if char == "[" and self.depth < MAX_DEPTH:
            return self._array()
        string = _STRING.match(self.text, self.at)
        if string is not None:
            self.at = string.end()
            return (
                UNKNOWN
                if string[0][0] == "`" and "${" in string[0]
                else _unescaped(string[0][1:-1])
            )
        number = _NUMBER.match(self.text, self.at)
        if number is not None:
            self.at = number.end()
            return _number(number[0])
        name = _NAME.match(self.text, self.at)
        if name is None:
            return UNKNOWN
        self.at = name.end()
        return _WORDS[name[0]] if name[0] in _WORDS else self._declared(name[0])

    def _product(self, first: object) -> object:
        """The value of 60 * 60 * 24 and the like; None when it is nothing such."""
        total = first
        while isinstance(total, int) and not isinstance(total, bool) and self._char() == "*":
            self.at += 1
            self.skip()
            number = _NUMBER.match(self.text, self.at)
            if number is None:
                return None
            self.at = number.end()
            factor = _number(number[0])
            total = min(total * factor, 1 << 62) if isinstance(factor, int) else None
            self.skip()
        return (
            total
            if isinstance(total, int) and not isinstance(total, bool) and self._char() in ",;:)]}"
            else None
        )

    def _declared(self, name: str) -> object:
        """What a name means that is declared once, as a constant, in the same text."""
        if name not in self.known:
            self.known[name] = UNKNOWN  # while it is read: a name that means itself means nothing
            found = list(re.finditer(rf"\b(?:const|let|var)\s+{re.escape(name)}\s*=\s*", self.text))
            if len(found) == 1 and len(self.known) <= MAX_NAMES:
                self.known[name] = Reader(self.text, found[0].end(), self.known).value()
        return self.known[name]

    def _array(self) -> object:
        self.at += 1
        self.depth += 1
        items: list[object] = []
        self.skip()
        while self._char() not in "];":
            start = self.at
            items.append(self.value())
            self._comma(start)
        self.at += 1
        self.depth -= 1
        return items

    def _object(self) -> object:
        self.at += 1
        self.depth += 1
        found: dict[str, object] = {}
        self.skip()
        while self._char() not in "};":
            start = self.at
            key = self._key()
            self.skip()
            if key is not None and self._char() == ":":
                self.at += 1
                found[key] = self.value()
            else:  # a spread, a method, a shorthand: known by what stands there
                self.at = start
                self._behind()
                found[self.text[start : self.at].strip()] = UNKNOWN
            self._comma(start)
        self.at += 1
        self.depth -= 1
        return found

    def _key(self) -> str | None:
        string = _STRING.match(self.text, self.at)
        name = string or re.compile(r"[\w$-]+").match(self.text, self.at)
        if name is None:
            return None
        self.at = name.end()
        return _unescaped(name[0][1:-1]) if string else name[0]

    def _comma(self, start: int) -> None:
        """Go behind the comma of what began at `start`; a bracket that closes nothing is passed over."""
        self.skip()
        if self._char() == ",":
            self.at += 1
        elif self._char() not in "]}":
            self._behind()
        if self.at == start:
            self.at += 1
        self.skip()

    def _behind(self) -> None:
        """Go to the comma or bracket that ends what stands here."""
        depth = 0
        while self.at < len(self.text):
            self.skip()
            string = _STRING.match(self.text, self.at)
            if string is not None:
                self.at = string.end()
                continue
            char = self._char()
            if depth == 0 and char in ",;)]}":
                return
            depth += (char in "([{") - (char in ")]}")
            self.at += 1


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)


def _number(text: str) -> object:
    plain = text.replace("_", "")
    if len(plain) > 20:
        return UNKNOWN
    if plain[:2].lower() == "0x":
        return int(plain, 16)
    return int(plain) if plain.isdigit() else int(float(plain))
