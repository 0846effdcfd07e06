"""Lua for Envoy's filter: the texts, patterns (without alternatives) and conditions of a script."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sidecar.policy.data import read_text
from sidecar.policy.rules.classes import MEDIA
from sidecar.policy.rules.matching import host_name
from sidecar.policy.rules.paths import decoded

_SPECIAL = re.compile(r"[\^$()%.\[\]*+\-?]")


def script(name: str) -> str:
    """One of the Lua files beside this module."""
    return read_text("sidecar.exporting", name)


FUNCTIONS = script("functions.lua")
"""Of header lines: `any` pattern in a text, the `lines` of a name, whether `some` line has a
pattern, whether a line `stands` there, and the first `word` of the first line, as a media type.
"""
PLACES = script("places.lua")
"""Where API documentation and logouts are, as in `policy.rules.classes`."""
COOKIES = script("cookies.lua")
"""One attribute of all cookies whose names match: removed, and a given text written at the end."""


def text(value: str) -> str:
    """A string of Lua."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'


def literal(value: str) -> str:
    """The text itself, in a pattern."""
    return _SPECIAL.sub(r"%\g<0>", value)


def glob(value: str, gap: str = ".*") -> str:
    """A text in which * stands for any run, from end to end."""
    return f"^{gap.join(literal(part) for part in re.split(r'[*]+', value))}$"


def host(pattern: str) -> str:
    """A host name."""
    return f"^{'.+'.join(literal(part) for part in host_name(pattern).split('*'))}$"


def path(pattern: str, slash: str) -> str:
    """A path: * within one segment, ** any rest; `slash` is what a slash may be."""
    chunks = re.split(r"\*\*+", pattern)
    inner = ".*".join(
        "[^/]*".join(literal(decoded(part)).replace("/", slash) for part in chunk.split("*"))
        for chunk in chunks
    )
    return f"^{inner}$"


def table(patterns: Iterable[str]) -> str:
    """A list of texts."""
    return f"{{{', '.join(map(text, patterns))}}}"


def media(types: Iterable[str]) -> str:
    """Whether the response's media type is one of these."""
    return f'any(word(headers, "content-type"), {table(glob(one) for one in types)})'


def classes() -> str:
    """The function that returns the class of a response."""
    cases = "\n  else".join(
        f"if any(type, {table(map(glob, types))}) then found = {text(name)}"
        for name, types in MEDIA
    )
    return f"""\
local function class_of(headers, path)
  if word(headers, "content-disposition") == "attachment" then return "download" end
  local type, found = word(headers, "content-type"), ""
  {cases}
  end
  if (found == "html" or found == "api") and is_docs(path) then return "docs" end
  return found
end
"""
