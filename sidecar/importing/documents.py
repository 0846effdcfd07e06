"""YAML and TOML texts of other tools as data with places; a file may hold several documents."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from sidecar.importing.draft import Notes, SourceLine
from sidecar.importing.syntax import Sources, refuse
from sidecar.policy.terms import Path
from sidecar.source import SourceText, read_yaml

_DIVIDER = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    """One document: a mapping, and the place of each path in it."""

    data: dict[str, Any]
    where: Callable[[Path], SourceLine]

    def at(self, *path: str | int) -> Any:
        """The value at a path; None when there is none."""
        here: Any = self.data
        for part in path:
            if isinstance(here, dict) and isinstance(part, str):
                here = here.get(part)
            elif isinstance(here, list) and isinstance(part, int) and part < len(here):
                here = here[part]
            else:
                return None
        return here

    def mapping(self, *path: str | int) -> dict[str, Any]:
        """The mapping at a path; {} when there is none."""
        here = self.at(*path)
        return here if isinstance(here, dict) else {}

    def items(self, *path: str | int) -> list[Any]:
        """The list at a path; [] when there is none."""
        here = self.at(*path)
        return here if isinstance(here, list) else []

    def ingress_paths(self) -> Iterator[tuple[dict[str, Any], dict[str, Any], SourceLine]]:
        """Each path of a Kubernetes Ingress, with its rule."""
        for position, rule in enumerate(self.items("spec", "rules")):
            for number, path in enumerate(self.items("spec", "rules", position, "http", "paths")):
                if isinstance(rule, dict) and isinstance(path, dict):
                    place = ("spec", "rules", position, "http", "paths", number)
                    yield rule, path, self.where(place)


def documents(sources: Sources, notes: Notes) -> Iterator[Document]:
    """Every mapping in the texts, in order; a name that ends in .toml is read as TOML.

    Raises:
        PolicyError: a text is neither.
    """
    for name, text in sources.items():
        if name.endswith(".toml"):
            yield _toml(name, text)
            continue
        for part in _parts(text):
            source = read_yaml(part.encode(), name)
            for problem in source.problems:
                where, fix = SourceLine(name, problem.line), problem.fix or "correct the text"
                notes.lost(where, problem.message, fix)
            if isinstance(source.data, dict):
                yield Document(source.data, partial(_placed, source))


def _placed(source: SourceText, path: Path) -> SourceLine:
    while path and path not in source.keys and path not in source.values:
        path = path[:-1]
    line, _ = source.keys.get(path) or source.values.get(path) or (0, 0)
    return SourceLine(source.name, line)


def _parts(text: str) -> Iterator[str]:
    """The documents of a stream, each after as many empty lines as are before it."""
    start = 0
    for found in [*_DIVIDER.finditer(text), None]:
        end = len(text) if found is None else found.start()
        if text[start:end].strip():
            yield "\n" * text.count("\n", 0, start) + text[start:end]
        start = end if found is None else found.end()


def _toml(name: str, text: str) -> Document:
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        where = SourceLine(name, int(line[1]) if line else 0)
        raise refuse(where, f"not TOML: {error}", "correct the text") from error
    lines = text.split("\n")

    def placed(path: Path) -> SourceLine:
        """The first line that sets the last key, or heads its table."""
        for part in reversed(path):
            mark = re.compile(rf"""^\s*(\[.*)?["']?{re.escape(str(part))}["']?\s*(=|\])""")
            number = next((number for number, line in enumerate(lines, 1) if mark.match(line)), 0)
            if number:
                return SourceLine(name, number)
        return SourceLine(name)

    return Document(data, placed)
