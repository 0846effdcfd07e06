"""Header lines as places in the bytes of their head. RFC 9112 section 5.

Lives here: `Head`, and `Names`, which knows what the names in it mean. No line becomes an object unless
somebody asks for it. Must not know start lines, nor what follows from a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sidecar.proxy.http1.grammar import TOKEN, Malformed, TooLarge, sound

KEPT_NAMES = 1024
"""Names that are remembered, of at most 64 bytes: senders repeat them."""


class Name:
    """A header's name in lower case, and what its lines are to a reader; 0 = nothing, they pass."""

    __slots__ = ("kind", "lower")

    def __init__(self, lower: bytes, kind: int) -> None:
        self.lower, self.kind = lower, kind


class Names(dict[bytes, Name]):
    """Names as they are written; only valid ones are found. `other` tells the kind of those that `kinds` does not hold."""

    def __init__(self, kinds: Mapping[bytes, int], other: Callable[[bytes], int]) -> None:
        super().__init__()
        self._kinds, self._other = kinds, other

    def __missing__(self, written: bytes) -> Name:
        if TOKEN.fullmatch(written) is None:
            raise Malformed("header name")
        lower = written.lower()
        kind = self._kinds.get(lower)
        name = Name(lower, self._other(lower) if kind is None else kind)
        if len(self) < KEPT_NAMES and len(written) <= 64:
            self[written] = name
        return name


class Head:
    """The header lines in `data[start:stop]`, each with its CRLF.

    `names`, `starts`, `colons` and `stops` have one entry for each line; `special` the indices of those with a kind.

    Raises:
        TooLarge: for more than `most` lines.
        Malformed: for bytes that are no header lines.
    """

    __slots__ = ("_pairs", "colons", "data", "names", "special", "starts", "stops")

    def __init__(self, data: bytes, start: int, stop: int, known: Names, most: int) -> None:
        if data.count(b"\r\n", start, stop) > most:
            raise TooLarge("header lines")
        if not sound(data):
            raise Malformed("control byte")
        self.data = data
        self.names: list[Name] = []
        self.starts: list[int] = []
        self.colons: list[int] = []
        self.stops: list[int] = []
        self.special: list[int] = []
        self._pairs: list[tuple[bytes, bytes]] | None = None
        while start < stop:
            end = data.find(b"\r\n", start, stop)
            colon = data.find(b":", start, end)
            if colon < 0:
                raise Malformed("header line")
            name = known[data[start:colon]]
            if name.kind:
                self.special.append(len(self.names))
            self.names.append(name)
            self.starts.append(start)
            self.colons.append(colon)
            self.stops.append(end)
            start = end + 2

    def value(self, index: int) -> bytes:
        """A line's value, without the whitespace around it."""
        return self.data[self.colons[index] + 1 : self.stops[index]].strip(b" \t")

    def written(self, index: int) -> bytes:
        """A line's name as it is written."""
        return self.data[self.starts[index] : self.colons[index]]

    def values(self, lower: bytes) -> list[bytes]:
        """The values of all lines of this name."""
        return [self.value(index) for index, name in enumerate(self.names) if name.lower == lower]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Name and value of each line, in order."""
        if self._pairs is None:
            self._pairs = [
                (self.written(index), self.value(index)) for index in range(len(self.names))
            ]
        return iter(self._pairs)
