"""The codes of findings: why each matters, a value that causes it, one that does not, the source.

The table is `policy/codes.yaml`; `check --explain` and the generated documents show it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sidecar.policy.data import read_text
from sidecar.policy.engine.resolve import resolve
from sidecar.policy.lint import lint
from sidecar.policy.terms import Problem
from sidecar.source import load

_RULE = re.compile(r"^rule '[^']*': ")


@dataclass(frozen=True, slots=True)
class CodeExample:
    """A policy in short: as people read it, and as it is judged."""

    lines: tuple[str, ...]
    policy: Mapping[str, Any]

    def problems(self) -> tuple[Problem, ...]:
        """What lint finds in it."""
        return lint(resolve(self.policy, {}))


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the table; no example where only a response, or a long text, could show it."""

    name: str
    why: str
    source: str
    url: str
    """Of the source: an address, or a file of this repository."""
    wrong: CodeExample | None = None
    right: CodeExample | None = None

    def finding(self) -> Problem | None:
        """What is found in the wrong example: the message with its fix, and how bad it is."""
        found = self.wrong.problems() if self.wrong else ()
        return next((one for one in found if one.code == self.name), None)

    def says(self) -> str:
        """The words of the finding in the wrong example, with their fix; "" without an example."""
        found = self.finding()
        return f"{_RULE.sub('', found.message)}; {found.fix}" if found else ""


@cache
def table() -> Mapping[str, Code]:
    """Every code with its row, in the order of the file."""
    data = load(read_text("sidecar.policy", "codes.yaml").encode(), "codes.yaml").data
    return {name: _code(name, row, data["sources"]) for name, row in data["codes"].items()}


def _code(name: str, row: Mapping[str, Any], sources: Mapping[str, list[str]]) -> Code:
    key, _, section = row["source"].partition(" ")
    title, url = sources[key]
    source = f"{title}, {section}" if section else title
    wrong, right = _example(row.get("wrong")), _example(row.get("right"))
    return Code(name, row["why"], source, url, wrong, right)


def _example(written: object) -> CodeExample | None:
    if written is None:
        return None
    if isinstance(written, dict):
        lines = tuple(f"{key}: {json.dumps(value)}" for key, value in written.items())
        return CodeExample(lines, {"version": 1, **written})
    lines = (written,) if isinstance(written, str) else tuple(written)  # type: ignore[arg-type]
    rules = {}
    for at, line in enumerate(lines, 1):
        header, _, value = line.partition(": ")
        action = "append" if header == "Set-Cookie" else "set"  # no rule overwrites cookies
        rules[f"rule-{at}"] = {"header": header, "action": action, "value": value}
    return CodeExample(lines, {"version": 1, "rules": rules})
