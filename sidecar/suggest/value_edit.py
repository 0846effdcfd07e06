"""Adds sources to a Content Security Policy in a policy file; every other byte stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import getitem
from typing import Any, TypeAlias

from sidecar.policy import csp
from sidecar.policy.csp import CspDirective
from sidecar.policy.csp.table import DIRECTIVES
from sidecar.policy.model import Rule
from sidecar.policy.terms import Path, PolicyError, Problem
from sidecar.rollout.edits import TextEdit, indent, line_end, set_word
from sidecar.source import SourceText, TextSpan

Comments: TypeAlias = Mapping[tuple[str, str], str]
"""The comment after a source, by directive and source."""

_COMMENT = re.compile(r"(?:^|\s)#")
_REST = re.compile(r"[ \t]*(,?)[ \t]*(?:#.*)?\r?$", re.MULTILINE)


def value_edits(
    source: SourceText, path: Path, after: Sequence[csp.CspPolicy], comments: Comments
) -> list[TextEdit]:
    """The edits that make the value at `path` say `after`, which only adds to it.

    With `comments` a value that has no comments of its own is written out, a source on each line.

    Raises:
        PolicyError: the value is written in a way that cannot be edited safely.
    """
    span = source.spans.get(path)
    if span is None:
        written = f"{{{', '.join(map(_pair, after[0].directives))}}}"
        if len(after) > 1:
            written = json.dumps(csp.serialise(*after))
        elif comments:
            lines = _lines(after[0].directives, " " * 8, comments, flow=True)
            written = "\n".join(("{", *lines, "      }"))
        return [set_word(source, path[:-1], "value", written)]
    value = reduce(getitem, path, source.data)
    if span.style == "alias" or source.text[span.start] == "&":
        raise _by_hand(source, path)
    whole = bool(comments) and len(after) == 1
    bare = not _COMMENT.search(source.text[span.start : span.end])
    if whole and (span.style == "scalar" or (span.style == "flow" and bare)):
        return _written_out(source, path, after[0], comments)
    if isinstance(value, str):
        kept = source.text[span.start : span.end].rstrip()
        text = _quoted(edited_text(value, after), kept)
        return [TextEdit(span.start, span.start + len(kept), text)]
    return [*_mapping(source, path, value, after[0], comments)]


def edited_text(value: str, after: Sequence[csp.CspPolicy]) -> str:
    """A header value that says `after`: what it says already stays as it is written."""
    parts, left = value.split(","), iter(after)
    for position, part in enumerate(parts):
        if any(policy.directives for policy in csp.parse(part)):
            parts[position] = _policy_text(part, next(left))
    return ",".join(parts)


def _policy_text(text: str, after: csp.CspPolicy) -> str:
    pieces, seen = text.split(";"), set[str]()
    for position, piece in enumerate(pieces):
        words = piece.split()
        if not words or words[0].lower() in seen:
            continue
        seen.add(words[0].lower())
        wanted = after.get(words[0].lower())
        if wanted is not None and wanted.values != tuple(words[1:]):
            before = piece[: len(piece) - len(piece.lstrip())]
            behind = piece[len(piece.rstrip()) :]
            pieces[position] = before + " ".join((words[0], *wanted.values)) + behind
    new = [" ".join((one.name, *one.values)) for one in after.directives if one.name not in seen]
    if not new:
        return ";".join(pieces)
    whole = ";".join(pieces)
    stripped = whole.rstrip("; \t")
    return "; ".join((stripped, *new)) + whole[len(stripped) :].replace(";", "", 1).rstrip(" ")


def _mapping(
    source: SourceText, path: Path, value: Any, after: csp.CspPolicy, comments: Comments
) -> Iterator[TextEdit]:
    names = {str(key).lower(): str(key) for key in value}
    (before,) = csp.parse(Rule(value=value).text) or (csp.CspPolicy(),)
    new = []
    for one in after.directives:
        held = before.get(one.name)
        if held is None:
            new.append(one)
        elif held.values != one.values:
            yield from _list(source, (*path, names[one.name]), held, one, comments)
    if new:
        yield from _members(source, path, value, new, comments)


def _list(
    source: SourceText, path: Path, held: CspDirective, wanted: CspDirective, comments: Comments
) -> Iterator[TextEdit]:
    """A directive's list gains words; the first replaces 'none'."""
    text, span, value = source.text, source.spans[path], reduce(getitem, path, source.data)
    if span.style == "alias" or text[span.start : span.start + 1] == "&":
        raise _by_hand(source, path)
    if not isinstance(value, list):
        kept = text[span.start : span.end].rstrip()
        made = _quoted(" ".join(wanted.values), kept) if kept else _flow(wanted.values)
        gap = " " if text[span.start - 1 : span.start] == ":" else ""
        yield TextEdit(span.start, span.start + len(kept), gap + made)
        return
    added = [word for word in wanted.values if word not in held.values]
    if not value:
        yield TextEdit(span.inside, span.inside, ", ".join(map(json.dumps, added)))
        return
    items = [source.spans[*path, number] for number in range(len(value))]
    if any(item.style != "scalar" or text[item.start] == "&" for item in items):
        raise _by_hand(source, path)
    nones = [number for number, item in enumerate(value) if str(item).lower() == "'none'"]
    if nones:
        item = items[nones[0]]
        first = added.pop(0)
        yield TextEdit(item.start, item.end, json.dumps(first))
        rest = _REST.match(text, item.end)
        if comments and rest and "#" not in rest.group() and _is_alone(text, item, span):
            at = rest.start() + len(rest.group().rstrip())
            yield TextEdit(at, at, _comment(comments, wanted.name, first))
    yield from _items(text, items[-1], span, wanted.name, added, comments)


def _items(
    text: str, last: TextSpan, span: TextSpan, name: str, added: Sequence[str], comments: Comments
) -> Iterator[TextEdit]:
    """Items after the last one: on lines of their own where that one has a line of its own."""
    if not added:
        return
    if not _is_alone(text, last, span):
        yield TextEdit(last.end, last.end, "".join(f", {json.dumps(word)}" for word in added))
        return
    lead = text[_line_start(text, last.start) : last.start]
    comma = "," if span.style == "flow" else ""
    rest = _REST.match(text, last.end)
    assert rest is not None
    if comma and not rest[1]:
        yield TextEdit(last.end, last.end, comma)
    at = rest.start() + len(rest.group().rstrip("\r"))
    lines = (f"{lead}{json.dumps(word)}{comma}{_comment(comments, name, word)}" for word in added)
    yield TextEdit(at, at, "".join(line_end(text) + line for line in lines))


def _is_alone(text: str, item: TextSpan, span: TextSpan) -> bool:
    """Whether an item of a list has a line of its own."""
    lead = text[_line_start(text, item.start) : item.start].strip()
    return lead == ("-" if span.style == "block" else "") and bool(_REST.match(text, item.end))


def _members(
    source: SourceText, path: Path, value: Any, new: Sequence[CspDirective], comments: Comments
) -> Iterator[TextEdit]:
    """Directives after the last one of a mapping."""
    text, span, newline = source.text, source.spans[path], line_end(source.text)
    if span.style == "block":
        at = _line_end(text, _end(source, path, value))
        lines = _lines(new, indent(text, span.inside), comments, flow=False)
        yield TextEdit(at, at, "".join(newline + line for line in lines))
        return
    if not value:
        yield TextEdit(span.end - 1, span.end - 1, ", ".join(map(_pair, new)))
        return
    final = list(value)[-1]
    last = _end(source, (*path, final), value[final])
    closing = _line_start(text, span.end - 1)
    if closing > last and not text[closing : span.end - 1].strip():
        if not text[last:].lstrip().startswith(","):
            yield TextEdit(last, last, ",")
        first = _line_start(text, span.inside)
        lead = text[first : span.inside] if not text[first : span.inside].strip() else "  "
        lines = _lines(new, lead, comments, flow=True)
        yield TextEdit(closing, closing, "".join(line + newline for line in lines))
        return
    yield TextEdit(last, last, "".join(f", {_pair(one)}" for one in new))


def _end(source: SourceText, path: Path, value: Any) -> int:
    """Where the text of a value ends: that of its last member, for what is written as a block."""
    span = source.spans[path]
    if isinstance(value, dict) and value and span.style == "block":
        last = list(value)[-1]
        return _end(source, (*path, last), value[last])
    if isinstance(value, list) and value and span.style == "block":
        return _end(source, (*path, len(value) - 1), value[-1])
    return span.start + len(source.text[span.start : span.end].rstrip())


def _written_out(
    source: SourceText, path: Path, after: csp.CspPolicy, comments: Comments
) -> list[TextEdit]:
    """The value as a mapping with a line for each source, in the style of the rule."""
    text, span, newline = source.text, source.spans[path], line_end(source.text)
    end = span.start + len(text[span.start : span.end].rstrip())
    start = _line_start(text, span.start)
    lead = re.match(r"[ \t]*(?:- )?", text[start:])
    assert lead is not None
    if source.spans[path[:-1]].style == "flow":
        own = " " * (len(lead.group()) + 2)
        lines = _lines(after.directives, f"{own}  ", comments, flow=True)
        return [TextEdit(span.start, end, newline.join(("{", *lines, f"{own}}}")))]
    column = source.keys[path][1] - 1
    lines = _lines(after.directives, " " * (column + 2), comments, flow=False)
    colon = len(text[: span.start].rstrip())
    if text[colon - 1] != ":":
        raise _by_hand(source, path)
    at = _line_end(text, end)
    return [TextEdit(colon, end, ""), TextEdit(at, at, "".join(newline + line for line in lines))]


def _lines(
    directives: Iterable[CspDirective], lead: str, comments: Comments, *, flow: bool
) -> Iterator[str]:
    """Members of a mapping; of a directive with a comment, each word has a line of its own."""
    bracket, dash, comma = (" [", "", ",") if flow else ("", "- ", "")
    for one in directives:
        if any((one.name, word) in comments for word in one.values):
            yield f"{lead}{one.name}:{bracket}"
            for word in one.values:
                comment = _comment(comments, one.name, word)
                yield f"{lead}  {dash}{json.dumps(word)}{comma}{comment}"
            if flow:
                yield f"{lead}],"
        else:
            yield f"{lead}{_pair(one)}{comma}"


def _pair(one: CspDirective) -> str:
    if not one.values and DIRECTIVES.get(one.name) != "sources":
        return f"{one.name}: true"
    return f"{one.name}: {_flow(one.values)}"


def _flow(words: Iterable[str]) -> str:
    return f"[{', '.join(map(json.dumps, words))}]"


def _comment(comments: Comments, name: str, word: str) -> str:
    said = comments.get((name, word), "")
    return f"  # {said}" if said else ""


def _quoted(text: str, like: str) -> str:
    """A YAML scalar, in single quotes if it had them, otherwise in double quotes as JSON."""
    if like.startswith("'"):
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text)


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _line_end(text: str, position: int) -> int:
    """Before the line ending that follows."""
    at = text.find("\n", position)
    return len(text) if at < 0 else at - (text[at - 1] == "\r")


def _by_hand(source: SourceText, path: Path) -> PolicyError:
    problem = Problem(
        "this value is shared or written in a way that cannot be edited safely",
        "write it out, and run this again",
        path,
    )
    return PolicyError((source.place(problem),))
