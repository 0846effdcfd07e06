"""The tally: what the service sends, looked at now and then, in bounded memory.

Lives here: `Tally`, which the data plane feeds. Must not know how a tally is written down or
compared. Cost: a response that is not looked at costs one lookup and one comparison; at most
`per_second` responses of a route and status class are looked at in a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from sidecar.baseline import Cell, Key, ordered
from sidecar.policy.engine.plan import RoutePlan
from sidecar.policy.headers.shapes import (
    MAX_LINES,
    OTHER,
    Lines,
    content_class,
    cookie,
    host,
    path,
    shapes,
)
from sidecar.policy.rules.conditions import Facts

PER_SECOND = 10
"""Responses of one route and status class that are looked at in a second."""
MAX_NAMES = 80
"""Header names, and cookie names, in a cell."""
MAX_VARIANTS = 6
"""Forms of one header in a cell."""
MAX_REQUESTS = 3
MAX_CELLS = 400
ROOM = 600_000
"""Characters that all cells together may take in the file; it loads up to 1 MiB."""

# What an entry costs in the file beside its own characters.
_CELL, _NAME, _VARIANT, _LINE = 800, 24, 42, 20


class Tally:
    """Cells that grow; `observe` is called for every response of the service."""

    def __init__(
        self, *, per_second: float = PER_SECOND, clock: Callable[[], float] = time.time
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._looks: dict[tuple[str, int], _Looks] = {}
        self._cells: dict[Key, _Growing] = {}
        self._room = ROOM

    def observe(self, route: RoutePlan, facts: Facts) -> None:
        """Look at one response as the service sent it, if this second has a look left."""
        group = (route.name, facts.status // 100)
        looks = self._looks.get(group)
        if looks is None:
            looks = self._looks[group] = _Looks()
        now = self._clock()
        if int(now) != looks.second:
            looks.second, looks.made = int(now), 0
        if looks.made < self._per_second:
            looks.made += 1
            self._look(route.name, facts, now)

    def cells(self) -> tuple[Cell, ...]:
        """What was seen so far."""
        return ordered(cell.frozen(key) for key, cell in self._cells.items())

    def _look(self, route: str, facts: Facts, now: float) -> None:
        by_name: dict[str, list[bytes]] = {}
        for name, value in facts.fields:
            by_name.setdefault(name.decode("latin-1").lower(), []).append(value)
        media = by_name.get("content-type", [b""])[0].decode("latin-1")
        cell = self._cell((route, f"{facts.status // 100}xx", content_class(media)), now)
        if cell is None:
            return
        cell.responses += 1
        cell.last = now
        if len(cell.requests) < MAX_REQUESTS:
            self._note_request(cell, facts)
        cookies: dict[str, Lines] = {}
        for line in by_name.pop("set-cookie", ())[:MAX_NAMES]:
            own, attributes = cookie(line.decode("latin-1"))
            cookies[own] = (*cookies.get(own, ()), attributes)[:MAX_LINES]
        for own, lines in cookies.items():
            self._count(cell, cell.cookies, own, lines)
        for key, values in by_name.items():
            self._count(cell, cell.headers, key, shapes(key, values))

    def _cell(self, key: Key, now: float) -> _Growing | None:
        found = self._cells.get(key)
        if found is None and len(self._cells) < MAX_CELLS and self._room > _CELL:
            self._room -= _CELL
            found = self._cells[key] = _Growing(now)
        return found

    def _note_request(self, cell: _Growing, facts: Facts) -> None:
        method = (
            facts.method
            if facts.method.isascii() and facts.method.isalpha() and len(facts.method) <= 20
            else "GET"
        )
        target = path(facts.path) if facts.path.startswith("/") else "/"
        request = f"{method.upper()} {facts.scheme}://{host(facts.host)}{target} -> {facts.status}"
        if request not in cell.requests and (
            not cell.requests or self._takes(len(request) + _LINE)
        ):
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


class _Looks:
    __slots__ = ("made", "second")

    def __init__(self) -> None:
        self.second, self.made = -1, 0


class _Growing:
    """A cell that is being counted; a header's absence is what is left to all responses."""

    __slots__ = ("beyond", "cookies", "first", "headers", "last", "requests", "responses")

    def __init__(self, now: float) -> None:
        self.first = self.last = now
        self.responses = self.beyond = 0
        self.requests: list[str] = []
        self.headers: dict[str, dict[Lines, int]] = {}
        self.cookies: dict[str, dict[Lines, int]] = {}

    def frozen(self, key: Key) -> Cell:
        """The cell as it is now."""
        return Cell(
            *key,
            self.responses,
            _stamp(self.first),
            _stamp(self.last),
            tuple(self.requests),
            self._all(self.headers),
            self._all(self.cookies),
            self.beyond,
        )

    def _all(self, seen: dict[str, dict[Lines, int]]) -> dict[str, dict[Lines, int]]:
        return {name: self._with_absent(variants) for name, variants in seen.items()}

    def _with_absent(self, variants: dict[Lines, int]) -> dict[Lines, int]:
        absent = self.responses - sum(variants.values())
        return {**variants, (): absent} if absent > 0 else dict(variants)


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
