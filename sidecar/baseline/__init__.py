"""What a service sends: header lines by route, status class and content class, with counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias

from sidecar.policy.headers.shapes import Lines, cookie_line, display_name
from sidecar.policy.model import StrictModel
from sidecar.policy.rules.conditions import Facts, RawFields
from sidecar.policy.values import Listed

Variants: TypeAlias = Mapping[Lines, int]
"""What a header looked like -> in how many responses; () = it was absent."""
Key: TypeAlias = tuple[str, str, str]
"""Route, status class (2xx), content class (html)."""

REQUEST = re.compile(r"([A-Z]{1,20}) (https?)://([^/ ]*)(/[^ ]*) -> ([1-5][0-9][0-9])")
"""An example request and the status of its response: GET https://shop.example/items -> 200."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The responses of one route, status class and content class.

    `headers` by name in lower case, `cookies` by name: attributes as one line. `first` and `last`
    are UTC as 2026-07-19T05:44:10Z. `requests` are examples, with ids in their paths replaced.
    `beyond` counts headers and cookies over the limit.
    """

    route: str
    status: str
    content: str
    responses: int
    first: str
    last: str
    requests: tuple[str, ...] = ()
    headers: Mapping[str, Variants] = field(default_factory=dict)
    cookies: Mapping[str, Variants] = field(default_factory=dict)
    beyond: int = 0

    @property
    def key(self) -> Key:
        """Route, status class and content class."""
        return (self.route, self.status, self.content)

    def header(self, name: str) -> Variants:
        """What one header looked like."""
        return self.headers.get(name) or {(): self.responses}

    def cookie(self, name: str) -> Variants:
        """What one cookie's attributes looked like."""
        return self.cookies.get(name) or {(): self.responses}


class Acceptance(StrictModel):
    """A difference that was accepted into the baseline."""

    at: str
    by: str
    reason: str
    changes: Listed


@dataclass(frozen=True, slots=True)
class Baseline:
    """The cells, sorted, and how they came to be."""

    cells: tuple[Cell, ...] = ()
    made: str = ""
    by: str = ""
    source: str = ""
    accepted: tuple[Acceptance, ...] = ()


def stamp(seconds: float) -> str:
    """A time (epoch seconds) as a baseline has it: 2026-07-19T05:44:10Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def by_key(cells: Iterable[Cell]) -> dict[Key, Cell]:
    """The cells by their keys."""
    return {cell.key: cell for cell in cells}


def total(parts: Iterable[Iterable[Cell]]) -> tuple[Cell, ...]:
    """The cells of several tallies as one."""
    summed: dict[Key, Cell] = {}
    for cells in parts:
        for cell in cells:
            held = summed.get(cell.key)
            summed[cell.key] = cell if held is None else _added(held, cell)
    return ordered(summed.values())


def since(now: Iterable[Cell], earlier: Iterable[Cell]) -> tuple[Cell, ...]:
    """What was added since an earlier reading of the same tally."""
    before = by_key(earlier)
    grown = (_without(cell, before[cell.key]) if cell.key in before else cell for cell in now)
    return ordered(cell for cell in grown if cell.responses > 0)


def ordered(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """The cells in the order of the file."""
    return tuple(sorted(cells, key=lambda cell: cell.key))


def _added(one: Cell, other: Cell) -> Cell:
    def both(mine: Mapping[str, Variants], theirs: Mapping[str, Variants]) -> dict[str, Variants]:
        absent: tuple[Variants, Variants] = ({(): one.responses}, {(): other.responses})
        return {
            name: Counter(mine.get(name, absent[0])) + Counter(theirs.get(name, absent[1]))
            for name in {**mine, **theirs}
        }

    return replace(
        one,
        responses=one.responses + other.responses,
        first=min(one.first, other.first),
        last=max(one.last, other.last),
        requests=tuple(dict.fromkeys((*one.requests, *other.requests)))[:3],
        headers=both(one.headers, other.headers),
        cookies=both(one.cookies, other.cookies),
        beyond=one.beyond + other.beyond,
    )


def _without(now: Cell, earlier: Cell) -> Cell:
    def rest(mine: Mapping[str, Variants], theirs: Mapping[str, Variants]) -> dict[str, Variants]:
        left = {
            name: Counter(variants) - Counter(theirs.get(name, {(): earlier.responses}))
            for name, variants in mine.items()
        }
        return {name: variants for name, variants in left.items() if any(variants)}

    responses = now.responses - earlier.responses
    return replace(
        now,
        responses=responses,
        first=earlier.last,
        headers=rest(now.headers, earlier.headers),
        cookies=rest(now.cookies, earlier.cookies),
        beyond=max(0, now.beyond - earlier.beyond),
    )


def responses(cell: Cell) -> Iterator[Facts]:
    """Responses as the cell saw them: the usual one for each example request, and each variant.

    Masked values stay masked; of a request only its line is known.
    """
    cookies = {f"set-cookie:{name}": variants for name, variants in cell.cookies.items()}
    seen = {**cell.headers, **cookies}
    usual = {
        name: max(variants, key=lambda lines: (variants[lines], lines))
        for name, variants in seen.items()
    }
    for request in cell.requests:
        yield _facts(request, usual)
    for name, variants in seen.items():
        for lines in variants:
            if lines != usual[name]:
                yield _facts(cell.requests[0], {**usual, name: lines})


def _facts(request: str, held: Mapping[str, Lines]) -> Facts:
    found = REQUEST.fullmatch(request)
    assert found is not None  # the file's model and the tally see to it
    method, scheme, host, path, status = found.groups()
    fields: RawFields = []
    for name, lines in held.items():
        key, _, cookie = name.partition(":")
        data = [cookie_line(cookie, line) for line in lines] if cookie else lines
        fields += [(display_name(key).encode(), line.encode("latin-1", "replace")) for line in data]
    return Facts(method, host, path, scheme, [], int(status), fields)
