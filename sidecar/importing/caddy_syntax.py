"""Caddyfile text to directives: words, quotes, blocks, snippets and imports.

A site is a directive whose words are its addresses; global options have the name "".
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
    included,
    refuse,
)

_TOKEN = re.compile(
    r"""(?P<space>[^\S\n]+|\\[ \t]*\n)|(?P<line>\n)|(?P<comment>\#[^\n]*)"""
    r"""|(?P<quoted>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<word>\S+)""",
    re.DOTALL,
)
_ARGUMENT = re.compile(r"\{args(?:\.(\d+)|\[(\d+)\])\}")


def read_caddy(sources: Sources, notes: Notes) -> Block:
    """All directives of the given files, imported snippets and files in their place.

    Raises:
        PolicyError: a text that is not a Caddyfile.
    """
    blocks = {name: parse(text, name) for name, text in sources.items()}
    snippets = {
        item.name: item.block
        for block in blocks.values()
        for item in block
        if item.name.startswith("(") and item.block is not None
    }

    def replace(item: ConfigDirective) -> Block | None:
        if item.name.startswith("(") and item.block is not None:
            return ()
        if item.name != "import" or not item.args:
            return None
        snippet = snippets.get(f"({item.args[0]})")
        block = included(item, blocks, notes) if snippet is None else snippet
        return _filled(block, item.args[1:])

    return assembled(blocks, ("import",), replace)


def parse(text: str, name: str) -> Block:
    """The directives of one text."""
    builder, words, at, line, brace = Builder(), list[str](), 0, 1, False
    start = SourceLine(name, 1)
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or (found["word"] and found["word"][0] in '"`'):
            raise refuse(SourceLine(name, line), "a quote is never closed", "close the quote")
        at = found.end()
        if found["quoted"] or found["word"]:
            if not words:
                start = SourceLine(name, line)
            word = found[0]
            if found["quoted"]:
                word = word[1:-1] if word[0] == "`" else word[1:-1].replace('\\"', '"')
            words.append(word)
            brace = found["word"] in ("{", "}")
        elif found["line"] and words and not words[-1].endswith(","):
            _statement(builder, words, start, brace=brace)
            words = []
        line += found[0].count("\n")
    if words:
        _statement(builder, words, start, brace=brace)
    return builder.done()


def _statement(builder: Builder, words: list[str], where: SourceLine, *, brace: bool) -> None:
    """A line; `brace`: its last word is a brace of a block, not a quoted one."""
    if brace and words == ["}"]:
        builder.close(where)
    elif brace and words[-1] == "{":
        builder.open(words[:-1] or [""], where)
    else:
        builder.add(words, where)


def _filled(block: Block, args: tuple[str, ...]) -> Block:
    """A snippet's directives with the arguments of its import."""

    def argument(found: re.Match[str]) -> str:
        number = int(found[1] or found[2])
        return args[number] if number < len(args) else found[0]

    def fill(text: str) -> str:
        return _ARGUMENT.sub(argument, text)

    return tuple(
        with_changes(
            item,
            name=fill(item.name),
            args=tuple(map(fill, item.args)),
            block=None if item.block is None else _filled(item.block, args),
        )
        for item in block
    )
