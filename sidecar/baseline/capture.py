"""The tally: samples of what the service sends, in bounded memory.

A response that is not sampled costs one lookup and one comparison; at most `per_second` responses
of a route and status class are sampled in a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sidecar.baseline import Cell, Key, ordered, stamp
from sidecar.policy.engine.plan import RoutePlan
from sidecar.policy.headers import shapes
from sidecar.policy.headers.shapes import MAX_LINES, OTHER, Lines
from sidecar.policy.rules.conditions import Facts

PER_SECOND = 10
"""Responses of one route and status class that are sampled in a second."""
MAX_NAMES = 80
"""Header names, and cookie names, in a cell."""
MAX_VARIANTS = 6
"""Forms of one header in a cell."""
MAX_REQUESTS = 3
MAX_CELLS = 400
ROOM = 600_000
"""Characters that all cells together may take in the file; it loads up to 1 MiB."""

# What an entry costs in the file besides its own characters.
_CELL, _NAME, _VARIANT, _LINE = 800, 24, 42, 20


class Tally:
    """Cells that grow; `observe` is called for every response of the service."""

    def __init__(
        self, *, per_second: float = PER_SECOND, clock: Callable[[], float] = time.time
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._samples: dict[tuple[str, int], tuple[int, int]] = {}
        """(route, status class) -> (second, responses sampled in it)."""
        self._cells: dict[Key, _Growing] = {}
        self._room = ROOM

    def observe(self, route: RoutePlan, facts: Facts) -> None:
        """Count a response as the service sent it, if this second's sample is not full."""
        group = (route.name, facts.status // 100)
        now = self._clock()
        second, made = self._samples.get(group, (-1, 0))
        if second != int(now):
            made = 0
        if made < self._per_second:
            self._samples[group] = (int(now), made + 1)
            self._add(route.name, facts, now)

    def cells(self) -> tuple[Cell, ...]:
        """What was seen so far."""
        return ordered(cell.frozen(key) for key, cell in self._cells.items())

    def _add(self, route: str, facts: Facts, now: float) -> None:
        by_name: dict[str, list[bytes]] = {}
        for name, value in facts.fields:
            by_name.setdefault(name.decode("latin-1").lower(), []).append(value)
        media = by_name.get("content-type", [b""])[0].decode("latin-1")
        cell = self._cell((route, f"{facts.status // 100}xx", shapes.content_class(media)), now)
        if cell is None:
            return
        cell.responses += 1
        cell.last = now
        if len(cell.requests) < MAX_REQUESTS:
            self._note_request(cell, facts)
        cookies: dict[str, Lines] = {}
        for line in by_name.pop("set-cookie", ())[:MAX_NAMES]:
            own, attributes = shapes.cookie(line.decode("latin-1"))
            cookies[own] = (*cookies.get(own, ()), attributes)[:MAX_LINES]
        for own, lines in cookies.items():
            self._count(cell, cell.cookies, own, lines)
        for key, values in by_name.items():
            self._count(cell, cell.headers, key, shapes.shapes(key, values))

    def _cell(self, key: Key, now: float) -> _Growing | None:
        found = self._cells.get(key)
        if found is None and len(self._cells) < MAX_CELLS and self._room > _CELL:
            self._room -= _CELL
            found = self._cells[key] = _Growing(now)
        return found

    def _note_request(self, cell: _Growing, facts: Facts) -> None:
        known = facts.method.isascii() and facts.method.isalpha() and len(facts.method) <= 20
        method = facts.method.upper() if known else "GET"
        target = shapes.path(facts.path) if facts.path.startswith("/") else "/"
        address = f"{facts.scheme}://{shapes.host(facts.host)}{target}"
        request = f"{method} {address} -> {facts.status}"
        if request in cell.requests:
            return
        if not cell.requests or self._takes(len(request) + _LINE):
            cell.requests.append(request)

    def _count(
        self, cell: _Growing, seen: dict[str, dict[Lines, int]], name: str, lines: Lines
    ) -> None:
        variants = seen.get(name)
        if variants is None:
            if len(seen) >= MAX_NAMES or not self._takes(2 * len(name) + _NAME):
                cell.beyond += 1
                return
            variants = seen[name] = {}
        if lines not in variants and (
            len(variants) >= MAX_VARIANTS
            or not self._takes(_VARIANT + sum(2 * len(line) + _LINE for line in lines))
        ):
            lines = OTHER
        variants[lines] = variants.get(lines, 0) + 1

    def _takes(self, cost: int) -> bool:
        if self._room < cost:
            return False
        self._room -= cost
        return True


class _Growing:
    """A cell that is being counted; a header is absent from the responses it is not counted in."""

    __slots__ = ("beyond", "cookies", "first", "headers", "last", "requests", "responses")

    def __init__(self, now: float) -> None:
        self.first = self.last = now
        self.responses = self.beyond = 0
        self.requests: list[str] = []
        self.headers: dict[str, dict[Lines, int]] = {}
        self.cookies: dict[str, dict[Lines, int]] = {}

    def frozen(self, key: Key) -> Cell:
        """The cell now."""
        first, last, requests = stamp(self.first), stamp(self.last), tuple(self.requests)
        headers, cookies = self._with_absent(self.headers), self._with_absent(self.cookies)
        return Cell(*key, self.responses, first, last, requests, headers, cookies, self.beyond)

    def _with_absent(self, seen: dict[str, dict[Lines, int]]) -> dict[str, dict[Lines, int]]:
        made = {}
        for name, variants in seen.items():
            absent = self.responses - sum(variants.values())
            made[name] = {**variants, (): absent} if absent > 0 else dict(variants)
        return made
