r"""nginx configuration text to directives: words, quotes, escapes, comments, braces, includes."""

from __future__ import annotations

import re

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
    r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)"""
    r"""|(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<mark>[;{}])"""
    r"""|(?P<word>(?:\\.|\$\{[^}\s]*\}|[^\s;{}\\]|(?<=[^\s;{}])\})+)""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"""\\(["'\\trn])""")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
# Files of every distribution that touch no response header.
_HARMLESS = re.compile(
    r"(mime\.types|(fastcgi|scgi|uwsgi|proxy)(_params|\.conf)|fastcgi-php\.conf"
    r"|options-ssl-nginx\.conf|modules-enabled/\*\.conf)$"
)


def read_nginx(sources: Sources, notes: Notes) -> Block:
    """All directives of the given files, included ones in their place.

    Raises:
        PolicyError: a text that is not nginx configuration.
    """
    blocks = {name: parse(text, name) for name, text in sources.items()}

    def replace(item: ConfigDirective) -> Block | None:
        if item.name != "include" or not item.args:
            return None
        return included(item, blocks, None if _HARMLESS.search(item.args[0]) else notes)

    return assembled(blocks, ("include",), replace)


def parse(text: str, name: str, first_line: int = 1) -> Block:
    """The directives of one text; its first line counts as `first_line`."""
    builder, words, line, at = Builder(), list[str](), first_line, 0
    while at < len(text):
        where = SourceLine(name, line)
        found = _TOKEN.match(text, at)
        if found is None or (found["word"] and found[0][0] in "\"'"):
            message = f"not nginx configuration: {text[at : at + 20]!r} is never closed"
            raise refuse(where, message, "close the quote")
        at, token = found.end(), found[0]
        if found["mark"] is None and (found["quoted"] or found["word"]):
            if not words:
                start = where
            word = token[1:-1] if found["quoted"] else token
            words.append(_ESCAPE.sub(lambda mark: _ESCAPED.get(mark[1], mark[1]), word))
        elif token == ";":
            if words:
                builder.add(words, start)
            words = []
        elif token == "{":
            words = words or [""]
            if words[0].endswith("_by_lua_block"):
                at = _skipped(text, at, where)
                builder.add(words, start)
                token = text[found.start() : at]
            else:
                builder.open(words, where if words == [""] else start)
            words = []
        elif token == "}":
            if words:
                raise refuse(start, f"{words[0]!r} does not end with ';'", "add the ';'")
            builder.close(where)
        line += token.count("\n")
    if words:
        raise refuse(start, f"{words[0]!r} does not end with ';'", "add the ';'")
    return builder.done()


def _skipped(text: str, at: int, where: SourceLine) -> int:
    """The end of a block in another language, by its braces."""
    depth = 1
    while depth:
        found = re.compile(r"[{}]").search(text, at)
        if found is None:
            raise refuse(where, "the block is never closed", "close it")
        depth += 1 if found[0] == "{" else -1
        at = found.end()
    return at
