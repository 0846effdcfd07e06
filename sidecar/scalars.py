"""Values as YAML text on one line, for files that people read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = str | bool | int | Sequence["Value"] | Mapping[str, "Value"] | None

_PLAIN = re.compile(r"[A-Za-z/$][A-Za-z0-9 ./$_*=;()+@-]*[A-Za-z0-9*/)]|[A-Za-z]|[1-5]xx")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_PRINTABLE = re.compile(r"[ -~]*")


def scalar(text: str) -> str:
    """A text in a block or a flow: plain where that is unambiguous, else in quotes. ASCII.

    Half of a surrogate pair, which is no character, becomes U+FFFD. Source: YAML 1.2.2, sections
    7.3 and 5.7.
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    special = '"' in text or "\\" in text
    if special and _PRINTABLE.fullmatch(text):
        return f"'{text.replace(chr(39), chr(39) * 2)}'"
    return f'"{text if _PRINTABLE.fullmatch(text) else "".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    code = ord(char)
    return char if " " <= char <= "~" else f"\\U{0xFFFD if 0xD800 <= code <= 0xDFFF else code:08x}"


def flow(value: Value) -> str:
    """Any value on one line."""
    if isinstance(value, str):
        return scalar(value)
    if value is None or isinstance(value, bool | int):
        return "null" if value is None else str(value).lower()
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{scalar(key)}: {flow(item)}' for key, item in value.items())}}}"
    return f"[{', '.join(map(flow, value))}]"
