"""Header lines as they stand in the bytes of their head. RFC 9112 section 5.

A line that means nothing to us becomes no object: it is checked and leaves as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Final, TypeAlias

from sidecar.proxy.http1.grammar import TOKEN, Malformed, TooLarge
from sidecar.proxy.http1.scan import letters, same_name, text

if TYPE_CHECKING:
    from mypy_extensions import i64

try:  # noqa: SIM105  (as the compiler takes it)
    from librt.strings import read_i16_le
except ImportError:
    pass  # only compiled code reads by bytes, and that has it

KEPT_NAMES = 1024
"""Names that are remembered, of at most 64 bytes: senders repeat them."""

CRLF: Final = 0x0A0D
"""As one number, the first byte lowest."""

WATCHED: Final = 16
"""Set beside a kind where rules look at the line."""

_SIMPLE: Final = re.compile(rb"[a-z0-9-]+")
"""Names that `same_name` can compare."""
_CONTROLS: Final = bytes({*range(32), 127} - {9})
_LOWER: Final = bytes(
    byte | 32 if 65 <= byte <= 90 else byte if TOKEN.fullmatch(bytes([byte])) else 0
    for byte in range(256)
)
"""The bytes that names are made of, in lower case; 0 for all others."""

Field: TypeAlias = tuple[int, int, int, int]
"""A line with a kind: that, where it begins, its colon, and where the next line begins. A tuple,
which is what plain Python makes fastest.
"""


class Names:
    """What names mean to a reader: `kinds` by the name as it is written; 0 = nothing, its lines
    pass.

    `other` tells, by the name in lower case, the kind of those that `known` does not hold and that
    have an underscore or begin with x; None = 0. `slots` holds for a length, first and last byte
    which of `usual` may be the name, so that most names need not be looked up; 0 for none.
    """

    __slots__ = ("_known", "_other", "kinds", "others", "slots", "usual")

    def __init__(self, known: Mapping[bytes, int], other: Callable[[bytes], int] | None) -> None:
        self.kinds: dict[bytes, int] = {}
        self._known, self._other = known, other
        self.others = other is not None
        self.usual: list[tuple[bytes, int]] = [(b"", 0)]
        slots = bytearray(1024)
        for name, kind in known.items():
            slot = ((len(name) & 31) << 5 | name[-1] & 31) ^ (name[0] & 31) << 3
            if not slots[slot] and _SIMPLE.fullmatch(name):
                slots[slot] = min(255, len(self.usual))
                self.usual.append((name, kind))
        self.slots = bytes(slots)

    def learn(self, written: bytes) -> int:
        """The kind of a name that `kinds` does not hold; raises Malformed for what is none."""
        if TOKEN.fullmatch(written) is None:
            raise Malformed("header name")
        lower = written.lower()
        kind = self._known.get(lower)
        if kind is None:
            asked = self._other if lower.startswith(b"x") or b"_" in lower else None
            kind = asked(lower) if asked is not None else 0
        if len(written) <= 64:
            if len(self.kinds) >= KEPT_NAMES:
                self.kinds.clear()  # names invented by one client would fill the memory for ever
            self.kinds[written] = kind
        return kind


class Head:
    """The header lines in `data[start:stop]`, and behind them the empty line; `stop` is -1 while
    that has not come.

    `fields` are the lines whose names have a kind, in order; `instead` holds what leaves in the
    place of each, a whole line or nothing, None = the line.

    Raises:
        TooLarge: for more than `most` lines.
        Malformed: for bytes that are no header lines.
    """

    __slots__ = ("_pairs", "data", "fields", "instead", "start", "stop")

    def __init__(self, data: bytes, start: int, known: Names, most: int) -> None:
        self.data, self.start = data, start
        fields: list[Field] = []
        self._pairs: list[tuple[bytes, bytes]] | None = None
        if COMPILED:
            self.stop = by_bytes(data, start, known, most, fields)
        else:
            self.stop = by_lines(data, start, known, most, fields)
        self.fields = fields
        self.instead: list[bytes | None] = [None] * len(fields)

    def value(self, colon: int, end: int) -> bytes:
        """The value of a field with this colon and end, without the whitespace around it."""
        data, begin = self.data, colon + 1
        if data[begin] == 32:  # as everybody writes it
            begin += 1
        value = data[begin : end - 2]
        # Nothing else below 33 can be in a line but HTAB.
        return value.strip(b" \t") if value and (value[0] < 33 or value[-1] < 33) else value

    def values(self, lower: bytes) -> list[bytes]:
        """The values of all lines of this name."""
        return [value for name, value in self if name.lower() == lower]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Name and value of each line, in order."""
        if self._pairs is None:
            self._pairs = [_pair(line) for line in self._lines()]
        return iter(self._pairs)

    def remaining(self) -> list[tuple[bytes, bytes]]:
        """The same without the lines that must not leave."""
        gone, begin = self._gone(), self.start
        pairs: list[tuple[bytes, bytes]] = []
        for line in self._lines():
            if begin not in gone:
                pairs.append(_pair(line))
            begin += len(line) + 2
        return pairs

    def _gone(self) -> set[int]:
        return {
            field[1]
            for field, instead in zip(self.fields, self.instead, strict=True)
            if instead == b""
        }

    def drop(self, nominated: frozenset[bytes]) -> None:
        """Have the lines of these lower-case names not leave, whatever their kinds."""
        found = {
            field[1]: (field, instead)
            for field, instead in zip(self.fields, self.instead, strict=True)
        }
        begin = self.start
        for line in self._lines():
            end, colon = begin + len(line) + 2, line.index(b":")
            if line[:colon].lower() in nominated:
                field, _ = found.get(begin, ((0, begin, begin + colon, end), None))
                found[begin] = field, b""
            begin = end
        self.fields = [found[begin][0] for begin in sorted(found)]
        self.instead = [found[begin][1] for begin in sorted(found)]

    def watched(self) -> list[bytes]:
        """The lines that rules look at and that may leave, as they came, without their ends."""
        data, lines = self.data, []
        for index, (kind, begin, _, end) in enumerate(self.fields):
            if kind >= WATCHED and self.instead[index] is None:
                lines.append(data[begin : end - 2])
        return lines

    def leaving(
        self, parts: list[bytes], begin: int, places: tuple[bytes | None, ...] = ()
    ) -> None:
        """Add the lines that leave to `parts`, each with its end: as they came where nothing
        stands in their place. `places` is what does in those of the watched lines; with `begin` 0
        in place of `start`, what stands before the lines leaves too.
        """
        data, place = self.data, 0
        for index, (kind, at, _, end) in enumerate(self.fields):
            instead = self.instead[index]
            if instead is None:
                if kind < WATCHED or place == len(places):
                    continue
                instead = places[place]
                place += 1
                if instead is None:
                    continue
            if begin < at:
                parts.append(data[begin:at])
            if instead:
                parts.append(instead)
            begin = end
        if begin < self.stop:
            parts.append(data[begin : self.stop])

    def _lines(self) -> list[bytes]:
        return self.data[self.start : self.stop].split(b"\r\n")[:-1]


def _pair(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t")


# The same twice, as no way of reading is fast in both: a compiled loop over bytes, which costs an
# interpreter a thousand times as much, and a few calls for the whole head, which cost more than
# the loop where they are compiled.


def by_bytes(data: bytes, start: i64, known: Names, most: i64, fields: list[Field]) -> int:
    """Fill `fields`, eight bytes at a time; returns where the empty line begins, -1 = not come."""
    slots, lower, others = known.slots, _LOWER, known.others
    size: i64 = len(data)
    lines: i64 = 0
    begin = start
    while True:
        colon = letters(data, begin, size)
        if colon == begin:
            if size - begin < 2:
                return -1
            if read_i16_le(data, begin) == CRLF:
                return begin
        underscore = False
        if colon == size or data[colon] != 58:
            while colon < size:
                letter: i64 = lower[data[colon]]
                if letter == 0:
                    break
                if letter == 95:
                    underscore = True
                colon += 1
        at = text(data, colon, size)
        if size - at < 2:
            return -1 if at == size or data[at] == 13 else _wrong(data, at, "control byte")
        if read_i16_le(data, at) != CRLF:
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
        slot: i64 = slots[((length & 31) << 5 | last) ^ first << 3]
        if slot or (others and (first == 24 or underscore)):
            kind = _kind(data, begin, colon, known, slot)
            if kind:
                fields.append((kind, begin, colon, at))
        begin = at


def _kind(data: bytes, begin: i64, colon: i64, known: Names, slot: i64) -> int:
    """The kind of the name in `data[begin:colon]`, which may be the usual one of this slot."""
    if slot:
        name, kind = known.usual[slot]
        length: i64 = colon - begin
        if len(name) == length and same_name(data, begin, name, length):
            return kind
    written = data[begin:colon]
    learnt = known.kinds.get(written)
    return known.learn(written) if learnt is None else learnt


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
            fields.append((kind, begin, begin + len(name), end))
        begin = end
    return stop


def _whole(data: bytes, at: int) -> bool:
    """Whether the head's end has come: none is refused before it, so that builds refuse alike."""
    return data.find(b"\r\n\r\n", at - 2) >= 0


def _wrong(data: bytes, at: int, where: str) -> int:
    if _whole(data, at):
        raise Malformed(where)
    return -1


COMPILED: Final = not isinstance(by_bytes, FunctionType)
