"""Bodies as they arrive, by their length or in chunks: `done` at the end, and then `rest` is what
follows. RFC 9112 sections 6 and 7.

Requests and responses alike. Chunk extensions and trailers are checked and dropped.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.proxy.http1.grammar import TOKEN, Excessive, Malformed, TooLarge, sound

EXTENSIONS: Final = 16_384
"""Bytes of chunk extensions in one body: nobody needs them, and each must be read."""

SIZE_DIGITS: Final = 16
MOST: Final = (1 << 63) - 1
"""Bytes of a chunk that anybody can count."""

# Sixteen digits are 2^64 - 1; leading zeros count, so that a flood of them ends.
# Whitespace is read ahead of a semicolon alone.
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})((?:[\t ]*;[\t -~\x80-\xff]*)?)")

# What RFC 9112 section 7.1.1 allows: a quote that is left open could hide the line's end from
# another reader.
_EXTENSION: Final = re.compile(
    rb"""(?:[\t ]*;[\t ]*%b(?:[\t ]*=[\t ]*(?:%b|"(?:[^"\\]|\\.)*"))?)*[\t ]*"""
    % (TOKEN.pattern, TOKEN.pattern)
)

_SIZE_LINE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILERS: Final = 3


class Sized:
    """A body of so many bytes."""

    __slots__ = ("done", "left", "rest")

    def __init__(self, length: int) -> None:
        self.left, self.done, self.rest = length, length == 0, b""

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body in `data`."""
        left = self.left - len(data)
        if left > 0:
            self.left = left
            return data
        self.left, self.done = 0, True
        if not left:
            return data
        self.rest = data[left:]
        return data[:left]


class Chunked:
    """A body in chunks.

    Args:
        header_bytes: of all trailers together.
        headers: trailers.
        most: bytes of one chunk.
    """

    __slots__ = (
        "_extensions",
        "_held",
        "_left",
        "_lines",
        "_lines_left",
        "_most",
        "_state",
        "done",
        "rest",
    )

    def __init__(self, header_bytes: int, headers: int, most: int = MOST) -> None:
        self.done, self.rest = False, b""
        self._most = most
        self._held = b""
        self._state, self._left = _SIZE_LINE, 0
        self._extensions = EXTENSIONS
        self._lines, self._lines_left = headers, header_bytes

    def feed(self, data: bytes) -> bytes:
        """The bytes of chunks in `data`.

        Raises:
            TooLarge: for trailers beyond the limits.
            Excessive: for a chunk beyond its own.
            Malformed: for what is no chunk, and for extensions beyond theirs.
        """
        if self._held:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if self._state == _DATA:
                step = min(self._left, end - at)
                pieces.append(data[at : at + step])
                at += step
                self._left -= step
                if not self._left:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                if not b"\r\n".startswith(data[at : at + 2]):
                    raise Malformed("end of a chunk")
                if end - at < 2:
                    break
                at += 2
                self._state = _SIZE_LINE
            else:
                stop = data.find(b"\r\n", at)
                if stop < 0:
                    self._check_part(data[at:])
                    break
                line, at = data[at:stop], stop + 2
                if self._state == _SIZE_LINE:
                    self._size(line)
                elif line:
                    self._trailer(line)
                else:
                    self.done, self.rest = True, data[at:]
                    at = end
        self._held = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _check_part(self, part: bytes) -> None:
        """Refuse a line that is wrong before its end has come."""
        if part.endswith(b"\r"):
            part = part[:-1]
        if not sound(part):
            raise Malformed("line of a chunked body")
        if self._state == _TRAILERS:
            if part:
                self._check_trailers(len(part))
        elif (
            len(part) > SIZE_DIGITS + self._extensions
            or _SIZE.fullmatch(part.rstrip(b"\t ") or b"0" + part) is None
        ):
            raise Malformed("chunk size")

    def _size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise Malformed("chunk size")
        if extension := found[2]:
            self._extensions -= len(extension)
            if self._extensions < 0 or _EXTENSION.fullmatch(extension) is None:
                raise Malformed("chunk extensions")
        self._left = int(found[1], 16)
        if self._left > self._most:
            raise Excessive("chunk size")
        self._state = _DATA if self._left else _TRAILERS

    def _trailer(self, line: bytes) -> None:
        self._check_trailers(len(line))
        self._lines -= 1
        self._lines_left -= len(line)
        name, colon, _ = line.partition(b":")
        if not colon or TOKEN.fullmatch(name) is None or not sound(line):
            raise Malformed("trailer")

    def _check_trailers(self, more: int) -> None:
        if not self._lines or more > self._lines_left:
            raise TooLarge("trailers")
