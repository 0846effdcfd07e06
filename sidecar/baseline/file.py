"""A baseline as a file: YAML that people read and commit, and that loads back strictly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Annotated, Any

from pydantic import Field, ValidationError

from sidecar.baseline import REQUEST, Acceptance, Baseline, Cell, Variants, ordered
from sidecar.policy.headers.shapes import display_name
from sidecar.policy.model import StrictModel
from sidecar.policy.problems import translate
from sidecar.policy.terms import PolicyError, Problem
from sidecar.scalars import flow
from sidecar.source import load, located


class _Variant(StrictModel):
    seen: int = Field(ge=1)
    value: str | list[str] | None


class _Cell(StrictModel):
    route: str
    status: Annotated[str, Field(pattern="^[1-5]xx$")]
    content: str
    responses: int = Field(ge=1)
    first: str
    last: str
    requests: list[Annotated[str, Field(pattern=f"^{REQUEST.pattern}$")]] = Field(min_length=1)
    headers: dict[str, str | list[_Variant]] = Field(default_factory=dict)
    cookies: dict[str, str | list[_Variant]] = Field(default_factory=dict)
    beyond: int = 0


class _File(StrictModel):
    version: int = Field(ge=1, le=1)
    made: str
    by: str
    source: str
    accepted: list[Acceptance] = Field(default_factory=list)
    cells: list[_Cell]


def read_baseline(data: bytes, name: str) -> Baseline:
    """A baseline from a file's bytes.

    Raises:
        PolicyError: with every problem, each with file, line and column.
    """
    source = load(data, name)
    try:
        return from_data(source.data)
    except PolicyError as error:
        raise PolicyError(located(error.problems, source)) from error


def from_data(data: object) -> Baseline:
    """A baseline from what `to_data` returned, or from the mapping of its file.

    Raises:
        PolicyError: with every problem, each with the path to its place.
    """
    if not isinstance(data, dict):
        raise PolicyError((Problem("a baseline is a mapping", "make one with: sidecar capture"),))
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        raise PolicyError(translate(error, _File)) from error
    cells, accepted = ordered(map(_cell, file.cells)), tuple(file.accepted)
    return Baseline(cells, file.made, file.by, file.source, accepted)


def _cell(cell: _Cell) -> Cell:
    total = cell.responses
    headers = {name.lower(): _variants(said, total) for name, said in cell.headers.items()}
    cookies = {name: _variants(said, total) for name, said in cell.cookies.items()}
    requests = tuple(cell.requests)
    counts = (total, cell.first, cell.last, requests, headers, cookies, cell.beyond)
    return Cell(cell.route, cell.status, cell.content, *counts)


def _variants(said: str | list[_Variant], responses: int) -> Variants:
    if isinstance(said, str):
        return {(said,): responses}
    return {
        (item.value,) if isinstance(item.value, str) else tuple(item.value or ()): item.seen
        for item in said
    }


def to_data(baseline: Baseline) -> dict[str, Any]:
    """A baseline as plain data, in the form and order of its file."""
    accepted = [item.model_dump(mode="json") for item in baseline.accepted]
    return {
        "version": 1,
        "made": baseline.made,
        "by": baseline.by,
        "source": baseline.source,
        **({"accepted": accepted} if accepted else {}),
        "cells": [_cell_data(cell) for cell in baseline.cells],
    }


def _cell_data(cell: Cell) -> dict[str, Any]:
    data: dict[str, Any] = {one.name: getattr(cell, one.name) for one in fields(cell)} | {
        "requests": list(cell.requests),
        "headers": _all_data(cell.headers, cell.responses, display_name),
        "cookies": _all_data(cell.cookies, cell.responses, str),
    }
    return {key: said for key, said in data.items() if said or key not in ("cookies", "beyond")}


def _all_data(
    held: Mapping[str, Variants], responses: int, shown: Callable[[str], str]
) -> dict[str, Any]:
    return {shown(name): _variants_data(said, responses) for name, said in sorted(held.items())}


def _variants_data(variants: Variants, responses: int) -> str | list[dict[str, Any]]:
    """One line in all responses is a text; otherwise a list, the most frequent first."""
    rows = sorted(variants.items(), key=lambda item: (-item[1], item[0]))
    if [(len(lines), count) for lines, count in rows] == [(1, responses)]:
        return rows[0][0][0]
    return [
        {"seen": count, "value": lines[0] if len(lines) == 1 else list(lines) or None}
        for lines, count in rows
    ]


_HEAD = """\
# What the service itself sends, as `sidecar capture` saw it: header lines by route, status class and content class.
# A header with a text was in every response with that value; a list says how often each value was seen, null = absent.
# Changing parts are masked ('nonce-...', <date>); values of headers that are no policy show as their form.
# Compare with:  sidecar drift FILE --admin URL      Accept what is new:  sidecar drift FILE --accept --reason WHY
"""  # noqa: E501


def yaml_text(baseline: Baseline) -> str:
    """The file: the same baseline, the same text; `read_baseline` gives it back."""
    return _HEAD + "\n".join(_block(to_data(baseline), "")) + "\n"


def _block(mapping: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in mapping.items():
        key = f"{indent}{flow(name)}:"
        if isinstance(value, Mapping):
            yield f"{key} {{}}" if not value else key
            yield from _block(value, f"{indent}  ")
        elif isinstance(value, list):
            yield f"{key} []" if not value else key
            for item in value:
                yield from _item(item, f"{indent}  ")
        else:
            yield f"{key} {flow(value)}"


def _item(item: Any, indent: str) -> Iterator[str]:
    if not isinstance(item, Mapping) or "seen" in item:
        yield f"{indent}- {flow(item)}"
    else:
        first, *rest = _block(item, f"{indent}  ")
        yield f"{indent}- {first.strip()}"
        yield from rest
