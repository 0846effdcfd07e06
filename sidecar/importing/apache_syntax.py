r"""Apache httpd configuration text to directives: lines, quotes, sections, Include, Define.

Names come out in lower case, the words of a section without its angle brackets.
"""

from __future__ import annotations

import re
from dataclasses import replace as with_changes

from sidecar.importing.draft import Notes, SourceLine
from sidecar.importing.syntax import (
    Block,
    Builder,
    ConfigDirective,
    Sources,
    assembled,
    everything,
    included,
    refuse,
)

_WORD = re.compile(r"""\s*(?:"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|(\S+))""", re.DOTALL)
_INCLUDES = ("include", "includeoptional")


def read_apache(sources: Sources, notes: Notes) -> Block:
    """All directives of the given files, included ones in their place.

    Raises:
        PolicyError: a text that is not httpd configuration.
    """
    blocks = {name: parse(text, name) for name, text in sources.items()}
    defined = {
        item.args[0]: item.args[1]
        for block in blocks.values()
        for item in everything(block)
        if item.name == "define" and len(item.args) == 2
    }

    def replace(item: ConfigDirective) -> Block | None:
        if item.name in _INCLUDES and item.args:
            return included(item, blocks, notes if item.name == "include" else None)
        args = tuple(
            re.sub(r"\$\{(\w+)\}", lambda found: defined.get(found[1], found[0]), arg)
            for arg in item.args
        )
        return (with_changes(item, args=args),) if args != item.args else None

    return assembled(blocks, _INCLUDES, replace)


def parse(text: str, name: str) -> Block:
    """The directives of one text."""
    builder, lines = Builder(), text.split("\n")
    number = 0
    while number < len(lines):
        where, line = SourceLine(name, number + 1), lines[number].strip()
        number += 1
        while line.endswith("\\") and not line.startswith("#") and number < len(lines):
            line = f"{line[:-1]} {lines[number].strip()}"
            number += 1
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        section = line.startswith("<")
        if section and not line.endswith(">"):
            message = f"not httpd configuration: {line[:40]!r} has no '>'"
            raise refuse(where, message, "end the section's head with '>'")
        if line.startswith("</"):
            builder.close(where, line[2:-1].strip().lower())
            continue
        first, *rest = _words(line[1:-1] if section else line, where) or [""]
        statement = builder.open if section else builder.add
        statement([first.lower(), *rest], where)
    return builder.done()


def _words(text: str, where: SourceLine) -> list[str]:
    """Words as httpd's ap_getword_conf cuts them: in quotes, a backslash keeps the quote."""
    words, at = list[str](), 0
    text = text.rstrip()
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None or (found[3] and found[3][0] in "\"'"):
            raise refuse(where, f"a quote in {text[:40]!r} is never closed", "close the quote")
        at = found.end()
        if found[3] is not None:
            words.append(found[3].replace("\\\\", "\\"))
        else:
            quote, word = ("'", found[2]) if found[1] is None else ('"', found[1])
            words.append(word.replace("\\\\", "\\").replace(f"\\{quote}", quote))
    return words
