"""Events as JSON lines on stdout; a blocked reader never blocks the loop."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Protocol

from sidecar.lean import hidden
from sidecar.policy import headers
from sidecar.policy.headers.cookies import ATTRIBUTES
from sidecar.telemetry.counters import Cap

with hidden("rich"):  # which structlog would load for consoles
    import structlog

_QUEUE = 10_000
_AT_ONCE = 256
_LINGER = 0.005
_NONCE = re.compile(rb"(?i)(nonce-)(?!\{request\}')[^'\s;,]+")
_TEXT_CAP = 2048
_RANKS = logging.getLevelNamesMapping()

as_json = json.JSONEncoder(default=repr).encode
"""Any value as JSON; what JSON does not know as Python shows it."""


class LineOutput(Protocol):
    """Where lines go; `dropped` counts those that could not."""

    dropped: int

    def write(self, line: str) -> None:
        """Take one line (without its end); never waits."""


class QueuedOutput:
    """Lines to a file descriptor through a bounded queue and one thread.

    `dropped` counts lines that found the queue full (a reader that stopped reading). Only the first
    line after a pause wakes the thread; lines within `_LINGER` seconds are written with one call.
    """

    def __init__(self, fd: int) -> None:
        self.dropped = 0
        self._fd = fd
        self._lines: deque[str] = deque()
        self._resting = False
        self._closing = False
        self._more = threading.Event()
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()

    def write(self, line: str) -> None:
        """Take one line (without its end); never waits."""
        if len(self._lines) >= _QUEUE:
            self.dropped += 1
            return
        self._lines.append(line)
        if self._resting:
            self._more.set()
        elif self._writer is None:
            self._start()

    def close(self, timeout: float = 2.0) -> None:
        """Write what is queued, within `timeout` seconds."""
        if self._writer is None:
            return
        self._closing = True
        self._more.set()
        self._writer.join(timeout)
        if not self._writer.is_alive():
            self._writer, self._closing = None, False

    def _start(self) -> None:
        with self._starting:
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="events", daemon=True)
                self._writer.start()

    def _run(self) -> None:
        lines = self._lines
        while True:
            if lines:
                self._put([lines.popleft() for _ in range(min(len(lines), _AT_ONCE))])
            elif self._closing:
                return
            else:
                self._more.clear()
                self._resting = True
                if not lines and not self._closing:  # what came before it rested has not set it
                    self._more.wait()
                self._resting = False
            if not self._closing and len(lines) < _AT_ONCE:
                time.sleep(_LINGER)

    def _put(self, lines: list[str]) -> None:
        data = "\n".join((*lines, "")).encode()
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            self.dropped += len(lines)


class _SinkLogger:
    """The end of structlog's processors: whatever the level, the rendered line goes to the sink."""

    def __init__(self, sink: LineOutput) -> None:
        self.msg = self.debug = self.info = self.warning = self.error = self.critical = sink.write


class Events:
    """Names and facts in, one JSON line out, at most `per_second` of the capped kind."""

    def __init__(
        self,
        sink: LineOutput,
        *,
        level: str = "info",
        per_second: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sink = sink
        self._clock = clock
        self.cap = Cap(per_second, clock)
        self._logged, self._logged_at = 0, 0.0
        """How many suppressed events were logged, and when."""
        self._least = _RANKS[level.upper()]
        self._stamp = Stamp()
        # Bound once: an unbound logger is assembled anew for each event.
        self._log = structlog.wrap_logger(
            _SinkLogger(sink),
            processors=[*_stamped(self._stamp), structlog.processors.JSONRenderer(_rendered)],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        ).bind()

    def emit(self, event: str, *, level: str = "info", **facts: object) -> None:
        """Write an event, whatever the cap."""
        getattr(self._log, level)(event, **facts)

    def emit_changes(self, event: str, about: str, changes: str) -> None:
        """Write an event on a request; `about` and `changes` are JSON: members, and a value.

        structlog would take a third longer.
        """
        if self._least <= logging.INFO:
            line = f'{{{about}, "event": "{event}", "level": "info", "timestamp": "{self._stamp()}"'
            self.sink.write(f'{line}, "changes": {changes}}}')

    def may_emit(self) -> bool:
        """Whether the cap allows an event; False = it was counted as suppressed: build nothing."""
        if not self.cap.take():
            return False
        if self.cap.missed > self._logged and self._clock() - self._logged_at >= 1:
            self.emit_suppressed()
        return True

    def emit_suppressed(self) -> None:
        """Log how many were suppressed since the last time; nothing when none were."""
        count = self.cap.missed - self._logged
        if count:
            self._logged, self._logged_at = self.cap.missed, self._clock()
            self.emit("events.suppressed", level="warning", count=count)


class Stamp:
    """The time in UTC as ISO 8601 with microseconds; the rest is formatted once a second."""

    def __init__(self) -> None:
        self._known = (0, "")

    def __call__(self) -> str:
        """The time now."""
        second, rest = divmod(time.time_ns(), 1_000_000_000)
        known, text = self._known
        if known != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._known = (second, text)  # at once, as other threads log too
        return f"{text}.{rest // 1000:06d}Z"


def capture_logging(sink: LineOutput, level: str) -> None:
    """Send Python's log records, warnings and uncaught exceptions to the sink as JSON lines."""
    handler, formatter = _SinkHandler(sink), structlog.stdlib.ProcessorFormatter
    render = structlog.processors.JSONRenderer(_rendered)
    before = [structlog.stdlib.add_logger_name, *_stamped(Stamp())]
    last: list[Any] = [formatter.remove_processors_meta, _capped, render]
    handler.setFormatter(formatter(foreign_pre_chain=before, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)

    def uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        logging.getLogger("sidecar").critical("process.crashed", exc_info=(kind, error, trace))
        if isinstance(sink, QueuedOutput):
            sink.close()

    sys.excepthook = uncaught


class _SinkHandler(logging.Handler):
    def __init__(self, sink: LineOutput) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(_unquoted(record))
        except Exception:  # noqa: BLE001 - a log line that cannot be made must not end its caller
            about = {"event": "log.failed", "level": "error", "logger": record.name}
            line = json.dumps({**about, "message": str(record.msg)[:_TEXT_CAP]})
        self._sink.write(line)


def _unquoted(record: logging.LogRecord) -> logging.LogRecord:
    """The record without the request that aiohttp's complaint quotes, credentials and all."""
    error = record.exc_info[1] if record.exc_info else None
    aiohttp = sys.modules.get("aiohttp.http_exceptions")  # not loaded, it cannot complain
    if aiohttp is not None and isinstance(error, aiohttp.HttpProcessingError):
        record = copy.copy(record)
        record.msg = f"{record.getMessage()}: {type(error).__name__}"
        record.args, record.exc_info, record.exc_text = (), None, None
    return record


def _stamped(stamp: Stamp) -> list[Any]:
    def add_time(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> Any:
        event["timestamp"] = stamp()
        return event

    return [structlog.processors.add_log_level, add_time, structlog.processors.format_exc_info]


def _rendered(event: Mapping[str, Any], **_: Any) -> str:
    return as_json(event)


def _capped(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Free text of foreign log records, cut."""
    return {name: one[:_TEXT_CAP] if isinstance(one, str) else one for name, one in event.items()}


def shown(header: str, values: tuple[bytes, ...] | None, cap: int) -> list[str] | None:
    """A header's lines as they may be logged.

    Cookies show name and attributes only, nonces are masked, values of unknown headers show as
    length and hash, and everything is cut to `cap` characters.
    """
    if values is None:
        return None
    key = header.lower()
    if key == "set-cookie":
        return [_cookie(value)[:cap] for value in values]
    if headers.get(header) is None and key not in headers.DISCLOSURE:
        digests = [(len(value), hashlib.sha256(value).hexdigest()[:8]) for value in values]
        return [f"({size} bytes, sha256 {digest})" for size, digest in digests]
    return [_NONCE.sub(rb"\1...", value).decode("latin-1")[:cap] for value in values]


def _cookie(line: bytes) -> str:
    """Name and attributes; without an equals sign the first part is the value (RFC 6265bis 5.6)."""
    pair, *attributes = line.decode("latin-1").split(";")
    name, equals, _ = pair.partition("=")
    for at, text in enumerate(attributes):
        if text.partition("=")[0].strip().lower() not in ATTRIBUTES:
            attributes[at] = " ..."
    return ";".join((f"{name.strip() if equals else ''}=...", *attributes))
