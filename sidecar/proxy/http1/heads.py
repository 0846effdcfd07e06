"""Header lines as they stand in the bytes of their head. RFC 9112 section 5.

Lives here: `Head`, and `Names`, which knows what the names in it mean. A line that means nothing to
us becomes no
object: it is checked and leaves as it came. Must not know start lines, nor what follows from a
    line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Final

from sidecar.proxy.http1.grammar import TOKEN, Malformed, TooLarge

if TYPE_CHECKING:
    from mypy_extensions import i64

KEPT_NAMES = 1024
"""Names that are remembered, of at most 64 bytes: senders repeat them."""

_CONTROLS: Final = bytes({*range(32), 127} - {9})
_TOKENS: Final = bytes(
    (2 if byte == 0x5F else 1) if TOKEN.fullmatch(bytes([byte])) else 0 for byte in range(256)
)
"""2 for the underscore."""


class Names:
    """What names mean to a reader: `kinds` by the name as it is written; 0 = nothing, its lines
    pass.

    `other` tells, by the name in lower case, the kind of those that `known` does not hold and that
    have an underscore or begin with x. `likely` is not 0 where `known` may hold a name of this
    length with this first and last byte, so that most names need not be looked up.
    """

    __slots__ = ("_known", "_other", "kinds", "likely")

    def __init__(self, known: Mapping[bytes, int], other: Callable[[bytes], int]) -> None:
        self.kinds: dict[bytes, int] = {}
        self._known, self._other = known, other
        likely = bytearray(1024)
        for name in known:
            likely[((len(name) & 31) << 5 | name[-1] & 31) ^ (name[0] & 31) << 3] = 1
        self.likely = bytes(likely)

    def learn(self, written: bytes) -> int:
        """The kind of a name that `kinds` does not hold yet; raises Malformed for what is no
        name.
        """
        if TOKEN.fullmatch(written) is None:
            raise Malformed("header name")
        lower = written.lower()
        kind = self._known.get(lower)
        if kind is None:
            kind = self._other(lower) if lower.startswith(b"x") or b"_" in lower else 0
        if len(written) <= 64:
            if len(self.kinds) >= KEPT_NAMES:
                self.kinds.clear()  # names invented by one client would fill the memory for ever
            self.kinds[written] = kind
        return kind


class Field:
    """A line with a kind: where it begins, its colon, and where the next line begins.

    `gone` when it must not leave; `instead` is what leaves in its place, a whole line or nothing,
    None = the line.
    """

    __slots__ = ("begin", "colon", "end", "gone", "instead", "kind")

    def __init__(self, kind: int, begin: int, colon: int, end: int) -> None:
        self.kind, self.begin, self.colon, self.end = kind, begin, colon, end
        self.gone = False
        self.instead: bytes | None = None

    def drop(self) -> None:
        """It must not leave."""
        self.gone, self.instead = True, b""


class Head:
    """The header lines in `data[start:stop]`, and behind them the empty line; `stop` is -1 while
    that has not come.

    `fields` are the lines whose names have a kind, in order.

    Raises:
        TooLarge: for more than `most` lines.
        Malformed: for bytes that are no header lines.
    """

    __slots__ = ("_pairs", "data", "fields", "start", "stop")

    def __init__(self, data: bytes, start: int, known: Names, most: int) -> None:
        self.data, self.start = data, start
        self.fields: list[Field] = []
        self._pairs: list[tuple[bytes, bytes]] | None = None
        if COMPILED:
            self.stop = by_bytes(data, start, known, most, self.fields)
        else:
            self.stop = by_lines(data, start, known, most, self.fields)

    def value(self, field: Field) -> bytes:
        """A line's value, without the whitespace around it."""
        data, begin = self.data, field.colon + 1
        if data[begin] == 32:  # as everybody writes it
            begin += 1
        value = data[begin : field.end - 2]
        # Nothing else below 33 can be in a line but HTAB.
        return value.strip(b" \t") if value and (value[0] < 33 or value[-1] < 33) else value

    def name(self, field: Field) -> bytes:
        """A line's name, in lower case."""
        return self.data[field.begin : field.colon].lower()

    def values(self, lower: bytes) -> list[bytes]:
        """The values of all lines of this name."""
        return [value for name, value in self if name.lower() == lower]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Name and value of each line, in order."""
        if self._pairs is None:
            self._pairs = [_pair(line) for line in self._lines()]
        return iter(self._pairs)

    def remaining(self) -> list[tuple[bytes, bytes]]:
        """The same without the lines that are gone."""
        gone, begin = {field.begin for field in self.fields if field.gone}, self.start
        pairs: list[tuple[bytes, bytes]] = []
        for line in self._lines():
            if begin not in gone:
                pairs.append(_pair(line))
            begin += len(line) + 2
        return pairs

    def drop(self, nominated: frozenset[bytes]) -> None:
        """Have the lines of these lower-case names gone, whatever their kinds."""
        fields, begin = {field.begin: field for field in self.fields}, self.start
        for line in self._lines():
            end, colon = begin + len(line) + 2, line.index(b":")
            if line[:colon].lower() in nominated:
                fields.setdefault(begin, Field(0, begin, begin + colon, end)).drop()
            begin = end
        self.fields = [fields[begin] for begin in sorted(fields)]

    def leaving(self) -> bytes:
        """The lines that leave, each with its end: as they came where nothing stands in their
        place.
        """
        data, begin = self.data, self.start
        parts: list[bytes] = []
        for field in self.fields:
            instead = field.instead
            if instead is not None:
                if begin < field.begin:
                    parts.append(data[begin : field.begin])
                if instead:
                    parts.append(instead)
                begin = field.end
        if begin < self.stop:
            parts.append(data[begin : self.stop])
        return b"".join(parts)

    def _lines(self) -> list[bytes]:
        return self.data[self.start : self.stop].split(b"\r\n")[:-1]


def _pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t")


# The same twice, as no way of reading is fast in both: a compiled loop over bytes, which costs an
# interpreter a
# thousand times as much, and a few calls for the whole head, which cost more than the loop where
# they are compiled.


def by_bytes(data: bytes, start: i64, known: Names, most: i64, fields: list[Field]) -> int:
    """Read lines byte by byte; returns where the empty line begins, -1 when it has not come, and
    fills `fields`.
    """
    kinds, likely, tokens = known.kinds, known.likely, _TOKENS
    size: i64 = len(data)
    lines: i64 = 0
    begin = start
    while True:
        if size - begin < 2:
            return -1
        if data[begin] == 13 and data[begin + 1] == 10:
            return begin
        colon = begin
        underscore = False
        while colon < size:
            token: i64 = tokens[data[colon]]
            if token != 1:
                if token == 0:
                    break
                underscore = True
            colon += 1
        at = colon
        while at < size:
            byte: i64 = data[at]
            if (byte < 32 and byte != 9) or byte == 127:
                break
            at += 1
        if size - at < 2 and (at == size or data[at] == 13):
            return -1
        if data[at] != 13 or data[at + 1] != 10:
            return _wrong(data, at, "control byte")
        if data[colon] != 58 or colon == begin:
            return _wrong(data, at, "header line")
        lines += 1
        if lines > most and _whole(data, at):
            raise TooLarge("header lines")
        at += 2
        length: i64 = colon - begin
        first: i64 = data[begin] & 31  # as upper and lower case have in common
        last: i64 = data[colon - 1] & 31
        if likely[((length & 31) << 5 | last) ^ first << 3] or first == 24 or underscore:
            written = data[begin:colon]
            kind = kinds.get(written)
            if kind is None:
                kind = known.learn(written)
            if kind:
                fields.append(Field(kind, begin, colon, at))
        begin = at


def by_lines(data: bytes, start: int, known: Names, most: int, fields: list[Field]) -> int:
    """The same in a few calls for the whole head."""
    stop = data.find(b"\r\n\r\n", start - 2) + 2
    if stop < 2:
        return -1
    if stop == start:
        return stop
    text = data[start:stop]
    lines = text[:-2].split(b"\r\n")
    if len(lines) > most:
        raise TooLarge("header lines")
    if len(text.translate(None, _CONTROLS)) != len(text) - 2 * len(lines):
        raise Malformed("control byte")
    kinds, begin = known.kinds, start
    for line in lines:
        name, colon, _ = line.partition(b":")
        if not colon:
            raise Malformed("header line")
        kind = kinds.get(name)
        if kind is None:
            kind = known.learn(name)
        end = begin + len(line) + 2
        if kind:
            fields.append(Field(kind, begin, begin + len(name), end))
        begin = end
    return stop


def _whole(data: bytes, at: int) -> bool:
    """Whether the head's end has come: nothing is refused before it, so that all builds refuse
    alike.
    """
    return data.find(b"\r\n\r\n", at - 2) >= 0


def _wrong(data: bytes, at: int, where: str) -> int:
    if _whole(data, at):
        raise Malformed(where)
    return -1


COMPILED: Final = not isinstance(by_bytes, FunctionType)
