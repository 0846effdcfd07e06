"""Header lines as they stand in the bytes of their head. RFC 9112 section 5.

Lives here: `Head`, and `Names`, which knows what the names in it mean. No line is taken apart unless somebody
asks for its value, and lines leave as they came. Must not know start lines, nor what follows from a line.
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
        if len(written) <= 64:
            if len(self) >= KEPT_NAMES:
                self.clear()  # one client's inventions would take the room of all others for good
            self[written] = name
        return name


class Head:
    """The header lines in `data[start:stop]`, each with its CRLF there, and without it in `lines`.

    `lines` and `names` have one entry for each line; `special` the indices of those with a kind.

    Raises:
        TooLarge: for more than `most` lines.
        Malformed: for bytes that are no header lines.
    """

    __slots__ = ("_pairs", "data", "lines", "names", "special", "start", "stop")

    def __init__(self, data: bytes, start: int, stop: int, known: Names, most: int) -> None:
        if data.count(b"\r\n", start, stop) > most:
            raise TooLarge("header lines")
        if not sound(data):
            raise Malformed("control byte")
        self.data, self.start, self.stop = data, start, stop
        # One call cuts all lines; places in the head would be three numbers for each, which cost more.
        lines = data[start : stop - 2].split(b"\r\n") if start < stop else []
        self.lines = lines
        self.names: list[Name] = []
        self.special: list[int] = []
        self._pairs: list[tuple[bytes, bytes]] | None = None
        names = self.names
        for line in lines:
            colon = line.find(b":")
            if colon < 0:
                raise Malformed("header line")
            name = known[line[:colon]]
            if name.kind:
                self.special.append(len(names))
            names.append(name)

    def value(self, index: int) -> bytes:
        """A line's value, without the whitespace around it."""
        return self.lines[index][len(self.names[index].lower) + 1 :].strip(b" \t")

    def written(self, index: int) -> bytes:
        """A line's name as it is written."""
        return self.lines[index][: len(self.names[index].lower)]

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

    def leaving(self, instead: dict[int, bytes]) -> bytes:
        """The lines as they came, each with its end, but for those in whose place whole lines, or nothing, stand."""
        if not instead:
            return self.data[self.start : self.stop]
        lines, begin = self.lines, 0
        parts: list[bytes] = []
        for index in sorted(instead):
            parts += lines[begin:index]
            if instead[index]:
                parts.append(instead[index][:-2])
            begin = index + 1
        parts += lines[begin:]
        return b"\r\n".join(parts) + b"\r\n" if parts else b""
