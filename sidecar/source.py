"""Loads YAML strictly, with line and column of every key and value.

YAML 1.2 words, no duplicate keys, tags, merge keys or alias bombs; and the shipped presets. The
only module that imports yaml.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

import yaml

from sidecar.policy.engine.resolve import Resolved, resolve
from sidecar.policy.lint import lint, refused
from sidecar.policy.terms import Path, PolicyError, Problem

MAX_BYTES = 1 << 20
MAX_NODES = 50_000
MAX_DEPTH = 32

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+|0[xo][0-9a-fA-F]+")
_OLD_BOOLEANS = dict.fromkeys(("yes", "on", "y"), "true") | dict.fromkeys(
    ("no", "n", "off"), "false"
)


class TextSpan(NamedTuple):
    """A value's characters from `start` to `end`; `inside`: where a first key or item would go."""

    start: int
    end: int
    style: Literal["scalar", "alias", "flow", "block"]
    inside: int


class SourceText(NamedTuple):
    """A loaded text: its data, and (line, column) from 1 of each path's value and key."""

    name: str
    text: str
    data: Any
    values: Mapping[Path, tuple[int, int]]
    keys: Mapping[Path, tuple[int, int]]
    spans: Mapping[Path, TextSpan]
    problems: tuple[Problem, ...] = ()
    """What is wrong with the text itself, where it still made sense as a whole."""

    def place(self, problem: Problem) -> Problem:
        """The problem with file, line and column of its path, or of the nearest place above it."""
        if problem.file or problem.line:
            return problem
        path = problem.path
        known = self.keys if problem.at_key else self.values
        while path and path not in known:
            known = self.values if isinstance(path[-1], int) else self.keys
            path = path[:-1]
        line, column = known.get(path, (1, 1))
        return dataclasses.replace(problem, file=self.name, line=line, column=column)


def load(data: bytes, name: str) -> SourceText:
    """Load one YAML document strictly, as `read_yaml`, and refuse every problem."""
    source = read_yaml(data, name)
    if source.problems:
        raise PolicyError(source.problems)
    return source


def read_yaml(data: bytes, name: str) -> SourceText:
    """Read one YAML document (UTF-8, at most 1 MiB); faults that leave it readable are `problems`.

    Raises:
        PolicyError: the text cannot be read beyond some place.
    """
    if len(data) > MAX_BYTES:
        text, fix = f"the file is {len(data)} bytes long", f"at most {MAX_BYTES} are read"
        raise PolicyError((Problem(text, fix, file=name),))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        place: Any = {"file": name, "line": line, "column": 1}
        raise PolicyError(
            (Problem("the file is not UTF-8", "save it as UTF-8", **place),)
        ) from error
    builder = _Builder(name)
    fatal: Problem | None = None
    try:
        builder.read(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.MarkedYAMLError as error:
        mark: object = error.problem_mark or error.context_mark
        line, column = getattr(mark, "line", 0) + 1, getattr(mark, "column", 0) + 1
        message = " ".join(str(part) for part in (error.context, error.problem) if part)
        wrong = "".join(text.splitlines()[line - 1 : line])[column - 1 : column]
        fixes = (fix for words, fix in _YAML_FIXES.items() if words in message)
        fix = _NO_TABS if wrong == "\t" or "tab char" in message else next(fixes, "")
        fatal = Problem(f"not YAML: {message}", fix, file=name, line=line, column=column)
    except yaml.YAMLError as error:
        line = data[: getattr(error, "position", 0)].count(b"\n") + 1
        message = str(error).splitlines()[0]
        fatal = Problem(f"not YAML: {message}", "", file=name, line=line, column=1)
    problems = (*builder.problems, fatal) if fatal else tuple(builder.problems)
    if fatal or builder.gave_up:
        raise PolicyError(problems)
    return SourceText(
        name, text, builder.data, builder.values, builder.keys, builder.spans, problems
    )


_NO_TABS = "write spaces in place of the tab"
_YAML_FIXES = {
    "cannot start any token": "put the text in quotes",
    "mapping values are not allowed": "put a text with a colon in quotes, or correct the indent",
    "did not find expected": "look for a comma, bracket or indent, here or in the line above",
    "escape character": "write a text with a backslash in single quotes",
    "quoted scalar": "close the quotation mark",
}
"""What the parser says -> what to do."""


class _Full(Exception):  # noqa: N818 - not an error of ours, only the way out of a deep or huge text
    pass


class _Builder:
    """Builds data from parser events without recursion on the text's nesting beyond MAX_DEPTH."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.data: Any = None
        self.problems: list[Problem] = []
        self.gave_up = False
        self.values: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, tuple[int, int]] = {}
        self.spans: dict[Path, TextSpan] = {}
        self._anchors: dict[str, Any] = {}
        self._nodes = 0

    def read(self, events: Iterator[Any]) -> None:
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    fix = "keep one document in a file"
                    self._problem(event, "a second document starts here", fix)
                    return
            elif isinstance(event, yaml.NodeEvent):
                try:
                    self.data = self._node(event, events, ())
                except _Full:
                    self.gave_up = True
                    return

    def _problem(self, event: Any, message: str, fix: str) -> None:
        line, column = _at(event)
        self.problems.append(Problem(message, fix, file=self.name, line=line, column=column))

    def _node(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        self.values[path] = _at(event)
        self._nodes += 1
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            text = "the text is nested too deep or, with its aliases, too large"
            self._problem(event, text, "write it plainer")
            raise _Full
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                self._problem(event, f"unknown alias *{event.anchor}", "define it above with &")
                return f"*{event.anchor}"
            value = self._anchors[event.anchor]
            self._nodes += _size(value, MAX_NODES - self._nodes)
            self.spans[path] = TextSpan(_start(event), _end(event), "alias", _start(event))
            return value
        if event.tag is not None and event.tag != "!":
            self._problem(event, f"tag {event.tag!r} is not allowed", "remove it")
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
            self.spans[path] = TextSpan(_start(event), _end(event), "scalar", _start(event))
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(event, events, path)
        else:
            value = self._mapping(event, events, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _sequence(self, start: Any, events: Iterator[Any], path: Path) -> list[Any]:
        value: list[Any] = []
        inside: int | None = None
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            inside = _start(item) if inside is None else inside
            value.append(self._node(item, events, (*path, len(value))))
        self._collection(path, start, item, inside)
        return value

    def _collection(self, path: Path, start: Any, end: Any, inside: int | None) -> None:
        style: Literal["flow", "block"] = "flow" if start.flow_style else "block"
        inside = _end(end) - 1 if inside is None else inside
        self.spans[path] = TextSpan(_start(start), _end(end), style, inside)

    def _mapping(self, start: Any, events: Iterator[Any], path: Path) -> dict[str, Any]:
        value: dict[str, Any] = {}
        inside: int | None = None
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            inside = _start(key) if inside is None else inside
            if not isinstance(key, yaml.ScalarEvent):
                self._problem(key, "a key must be a plain word", "write KEY: VALUE")
                raise _Full
            word = key.value
            if word == "<<" and not key.style:
                fix = "use extends, or override the rule on a route"
                self._problem(key, "merge keys (<<) are not YAML 1.2", fix)
            elif word in value:
                first = self.keys[*path, word][0]
                self._problem(key, f"key {word!r} appears twice", f"the first is in line {first}")
            self.keys.setdefault((*path, word), _at(key))
            value[word] = self._node(next(events), events, (*path, word))
        self._collection(path, start, key, inside)
        return value

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.style or event.tag == "!":
            return text
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return text.lower() == "true"
        if text != "off" and text.lower() in _OLD_BOOLEANS:
            meant = _OLD_BOOLEANS[text.lower()]
            why = f"{text!r} is a boolean in YAML 1.1 and a text in 1.2"
            self._problem(event, why, f"write {meant}, or '{text}' for the text")
            return meant == "true"
        if _INT.fullmatch(text) and len(text) < 20:
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _LEADING_ZERO.fullmatch(text):
            why = f"{text!r} is a different number in YAML 1.1 and 1.2"
            self._problem(event, why, f"put it in quotes: '{text}'")
        return text


def _at(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _start(event: Any) -> int:
    return int(event.start_mark.index)


def _end(event: Any) -> int:
    return int(event.end_mark.index)


def _size(value: Any, limit: int) -> int:
    """Nodes in a value, counted as if every alias were written out; stops above `limit`."""
    count, todo = 0, [value]
    while todo and count <= limit:
        item = todo.pop()
        count += 1
        if isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
    return count


def load_policy(data: bytes, name: str) -> Resolved:
    """A complete policy from a file's bytes: what `check` and `run` both do.

    Raises:
        PolicyError: with every problem, each with file, line and column.
    """
    return _load_policy(data, name)[1]


def lint_policy(data: bytes, name: str) -> tuple[Resolved, tuple[Problem, ...]]:
    """The same, and what lint finds in it: nothing that keeps it from being put in force.

    Raises:
        PolicyError: as `load_policy`.
    """
    source, resolved = _load_policy(data, name)
    return resolved, located(lint(resolved), source)


def _load_policy(data: bytes, name: str) -> tuple[SourceText, Resolved]:
    source = read_yaml(data, name)
    try:
        resolved = resolve(source.data, PRESETS)
    except PolicyError as error:
        given = {(problem.line, problem.column) for problem in source.problems}
        found = located(error.problems, source)
        new = [problem for problem in found if (problem.line, problem.column) not in given]
        raise PolicyError(located((*source.problems, *new), source)) from error
    if source.problems:
        raise PolicyError(source.problems)
    if harmful := refused(resolved):
        raise PolicyError(located(harmful, source))
    return source, resolved


def located(problems: Iterable[Problem], source: SourceText) -> tuple[Problem, ...]:
    """The problems with their places, in the order of the text."""
    return tuple(sorted(map(source.place, problems), key=lambda one: (one.line, one.column)))


class _Presets(Mapping[str, Any]):
    """Nothing is read before somebody asks: most policies extend none."""

    def __getitem__(self, name: str) -> Any:
        return _preset(name)

    def __iter__(self) -> Iterator[str]:
        return iter(preset_texts())

    def __len__(self) -> int:
        return len(preset_texts())


PRESETS: Mapping[str, Any] = _Presets()
"""The mappings of the shipped presets by name."""


@cache
def _preset(name: str) -> Any:
    return load(preset_texts()[name].encode(), f"{name}.yaml").data


@cache
def preset_texts() -> Mapping[str, str]:
    """The shipped presets as they are written, by name."""
    from importlib import resources

    folder = resources.files("sidecar.policy") / "presets"
    files = {entry.name: entry for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return {name.removesuffix(".yaml"): files[name].read_text("utf-8") for name in sorted(files)}
