"""A client's bytes outside bodies, as heads one by one.

A head that cannot become a request is refused before its end has come.
"""

from __future__ import annotations

from typing import Final

from sidecar.proxy.faults import Refused
from sidecar.proxy.http1.grammar import is_wrong_already
from sidecar.proxy.http1.request_line import read_line
from sidecar.proxy.http1.requests import Request, RequestReader
from sidecar.settings import Limits

EMPTY_LINES: Final = 8
"""Empty lines left out ahead of a request; one behind a body is usual (RFC 9112 section 2.2)."""


class RequestHeads:
    """Takes bytes as they come. `rest` holds what is left over behind a head."""

    __slots__ = ("_buffer", "_empty", "_limit", "_most", "_reader", "_target", "rest")

    def __init__(self, reader: RequestReader, limits: Limits) -> None:
        self._reader = reader
        self._limit = limits.target_bytes
        self._target = limits.target_bytes + 64
        self._most = limits.header_bytes + self._target
        self._buffer = self.rest = b""
        self._empty = 0

    @property
    def started(self) -> bool:
        """A head has begun to arrive."""
        return self._buffer not in (b"", b"\r")

    def take(self, data: bytes) -> Request | None:
        """The request when its head is whole, None as long as it is not; `rest` must be taken
        before more.

        Raises:
            Refused: as soon as the bytes cannot become a request.
        """
        seen = 0
        if self._buffer:
            seen = max(0, len(self._buffer) - 3)
            data, self._buffer = self._buffer + data, b""
        while data.startswith(b"\r\n"):
            data, seen = data[2:], 0
            self._empty += 1
            if self._empty > EMPTY_LINES:
                raise Refused(400, "malformed")
        # What has been looked at already is not read again before the end has come.
        request = None
        if not seen or data.find(b"\r\n\r\n", seen) >= 0:
            request = self._reader.read(data)
        if request is None:
            self._buffer = data
            self._check_part(data, seen)
            return None
        self._empty = 0
        end = request.head.stop + 2
        if end < len(data):
            self.rest = data[end:]
        return request

    def _check_part(self, data: bytes, seen: int) -> None:
        if len(data) > self._target and data.find(b"\r\n", 0, self._target) < 0:
            raise Refused(414, "target_too_long")
        if len(data) > self._most:
            raise Refused(431, "header_too_large")
        end = data.find(b"\r\n")
        if end > 0 and (not seen or end > seen):  # the first line is whole since this piece
            read_line(data[:end], self._limit)
        if seen and data[seen - 1] == 13:  # its LF may come first now
            seen -= 1
        if is_wrong_already(data[seen:]):
            raise Refused(400, "malformed")
