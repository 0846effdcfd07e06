"""Events as JSON lines: what is written, what is held back, and what is never shown."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import BadHttpMessage
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy import headers
from sidecar.telemetry import Events, events
from sidecar.telemetry.counters import Cap
from sidecar.telemetry.events import QueuedOutput, capture_logging, shown
from tests.patience import PATIENCE
from tests.telemetry import Collected


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: the end to read, the end to write."""
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(end)


def test_lines_reach_the_descriptor_in_order(pipe: tuple[int, int]):
    """Close waits until all that was queued is written."""
    sink = QueuedOutput(pipe[1])
    for number in range(100):
        sink.write(f"line {number}")
    sink.close()

    assert os.read(pipe[0], 10_000).decode().splitlines() == [
        f"line {number}" for number in range(100)
    ]
    assert sink.dropped == 0


def test_a_blocked_reader_never_blocks_the_writer(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    """What finds the queue full is dropped and counted; the rest comes when the reader reads
    again.
    """
    monkeypatch.setattr(events, "_QUEUE", 50)
    os.set_blocking(pipe[1], False)
    filler = b"".join(iter(lambda: filled(pipe[1]), b""))
    os.set_blocking(pipe[1], True)
    sink = QueuedOutput(pipe[1])
    sink.write("x" * 1000)
    while sink._lines:  # until the writer has it in hand, and waits for the pipe
        time.sleep(0)
    for _ in range(1000):
        sink.write("x" * 1000)
    assert sink.dropped == 950
    sink.close(timeout=0.01)

    pieces: list[bytes] = []
    reader = threading.Thread(
        target=lambda: pieces.extend(iter(lambda: os.read(pipe[0], 65536), b""))
    )
    reader.start()
    sink.close()
    os.close(pipe[1])
    reader.join(PATIENCE)
    assert b"".join(pieces).removeprefix(filler).splitlines() == [b"x" * 1000] * 51


def filled(fd: int) -> bytes:
    """What one more write takes of a pipe; nothing when it is full."""
    try:
        return b"f" * os.write(fd, b"f" * 4096)
    except BlockingIOError:
        return b""


def test_a_reader_that_went_away_is_counted(pipe: tuple[int, int]):
    """A closed pipe ends neither the thread nor the process."""
    os.close(pipe[0])
    sink = QueuedOutput(pipe[1])
    sink.write("a")
    sink.write("b")
    sink.close()

    assert sink.dropped == 2


def test_close_without_a_line_is_quiet(pipe: tuple[int, int]):
    """No thread was started, so none is waited for."""
    QueuedOutput(pipe[1]).close()


def test_writers_of_many_threads_share_one_thread(pipe: tuple[int, int]):
    """Whole lines come out, whoever is first."""
    sink = QueuedOutput(pipe[1])
    ready = threading.Barrier(8)

    def write() -> None:
        ready.wait()
        for _ in range(20):
            sink.write("y" * 50)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(thread.name == "events" for thread in threading.enumerate()) == 1
    sink.close()
    assert os.read(pipe[0], 65536).splitlines() == [b"y" * 50] * 160


def test_an_event_is_one_json_object():
    """Name, level and time stand in each; text of any kind is escaped."""
    lines = Collected()
    Events(lines).emit(
        "policy.activated",
        level="warning",
        reason='a "b"\n\u2028',
        path="\udcff",
        count=3,
        nothing=None,
    )

    (event,) = lines.events
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "policy.activated",
        "level": "warning",
        "reason": 'a "b"\n\u2028',
        "path": "\udcff",
        "count": 3,
        "nothing": None,
    }
    assert lines.lines[0].isascii()


def test_the_level_holds_back_what_is_less_severe():
    """Under `warning` nothing of level info is written."""
    lines = Collected()
    made = Events(lines, level="warning")
    made.emit("a")
    made.emit("b", level="error")

    assert [event["event"] for event in lines.events] == ["b"]


def test_the_cap_counts_what_it_holds_back_and_tells_it():
    """So many of a second are reported; how many were not is reported with the first of the
    next.
    """
    now = [10.0]
    lines = Collected()
    made = Events(lines, per_second=2, clock=lambda: now[0])

    assert [made.may_emit() for _ in range(5)] == [True, True, False, False, False]
    assert lines.events == []
    now[0] = 11.2
    assert made.may_emit()
    assert [(event["event"], event["level"], event["count"]) for event in lines.events] == [
        ("events.suppressed", "warning", 3)
    ]
    assert made.cap.missed == 3
    made.emit_suppressed()
    assert len(lines.events) == 1


def test_under_load_the_places_of_a_second_are_spread_over_it():
    """After a quiet second all are there at once; then each comes in its turn, and no second has
    more than it was promised.
    """
    now = [50.0]
    cap = Cap(4, clock=lambda: now[0])
    taken = []
    for step in range(32):
        now[0] = 50 + step / 8
        taken += [step for _ in range(6) if cap.take()]

    assert taken[:4] == [0, 0, 0, 0]
    assert taken[4:] == list(range(2, 32, 2)), "one each quarter of a second"


@pytest.fixture
def captured() -> Iterator[Collected]:
    """The process's own logging sent to a collection, and put back after."""
    root, hook = logging.getLogger(), sys.excepthook
    held, level = root.handlers[:], root.level
    lines = Collected()
    capture_logging(lines, "info")
    yield lines
    root.handlers[:] = held
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook = hook


def test_log_records_of_others_come_out_as_json(captured: Collected):
    """With logger, level, time and exception; below the level they do not."""
    logging.getLogger("aiohttp.server").info("hello %s", "you")
    logging.getLogger("asyncio").debug("not this")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("other").exception("it failed")

    first, second = captured.events
    assert (first["event"], first["logger"], first["level"]) == (
        "hello you",
        "aiohttp.server",
        "info",
    )
    assert first["timestamp"].endswith("Z")
    assert second["event"] == "it failed"
    assert second["exception"].endswith("ValueError: why")


def test_warnings_come_out_as_json(captured: Collected):
    """Python's own warnings do not reach stderr as text."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    (event,) = captured.events
    assert event["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in event["event"]


def test_an_uncaught_exception_comes_out_as_json(captured: Collected):
    """The last words of a process are a line like any other."""
    try:
        raise RuntimeError("the end")
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)

    (event,) = captured.events
    assert (event["event"], event["level"]) == ("process.crashed", "critical")
    assert "RuntimeError: the end" in event["exception"]


def test_the_last_words_are_written_out(pipe: tuple[int, int], captured: Collected):
    """A crash closes the sink, so that its line is not lost with the thread."""
    capture_logging(QueuedOutput(pipe[1]), "info")
    error = RuntimeError("the end")
    sys.excepthook(RuntimeError, error, None)

    assert json.loads(os.read(pipe[0], 65536))["event"] == "process.crashed"
    assert captured.events == []


def test_long_and_broken_records_are_cut_or_reported(captured: Collected):
    """Texts are cut; a record whose words do not fit its form does not fall on who wrote it."""
    logging.getLogger("a").warning("x" * 10_000)
    handler = next(
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, events._SinkHandler)
    )
    handler.handle(logging.makeLogRecord({"name": "b", "msg": "%d of %d", "args": ("one",)}))

    long, broken = captured.events
    assert len(long["event"]) == 2048
    assert (broken["event"], broken["logger"], broken["message"]) == ("log.failed", "b", "%d of %d")


def test_what_a_client_sent_is_not_quoted_from_aiohttps_complaints(captured: Collected):
    """Its errors carry the raw line, credentials and all."""
    try:
        raise BadHttpMessage("Invalid header: b'Authorization: Bearer geheim'")
    except BadHttpMessage:
        logging.getLogger("aiohttp.server").exception("Error handling request")

    (event,) = captured.events
    assert event["event"] == "Error handling request: BadHttpMessage"
    assert "geheim" not in captured.lines[0]


@pytest.mark.parametrize(
    ("header", "values", "expected"),
    [
        ("X-Frame-Options", (b"DENY", b"\xff"), ["DENY", "\xff"]),
        ("x-frame-options", (), []),
        ("X-Frame-Options", None, None),
        ("X-Powered-By", (b"PHP/8",), ["PHP/8"]),
        ("Pega-Host", (b"inner.example",), ["inner.example"]),
        (
            "Content-Security-Policy",
            (b"script-src 'nonce-abc123' 'NONCE-def'; img-src *",),
            ["script-src 'nonce-...' 'NONCE-...'; img-src *"],
        ),
        ("Content-Security-Policy", (b"script-src 'nonce-abc123",), ["script-src 'nonce-..."]),
        ("X-Session-Token", (b"geheim",), ["(6 bytes, sha256 0c3ea9cc)"]),
        ("Authorization", (b"Bearer geheim",), ["(13 bytes, sha256 c1e51a2b)"]),
        (
            "Set-Cookie",
            (b"sid=geheim; Path=/; HttpOnly", b"b=\xff"),
            ["sid=...; Path=/; HttpOnly", "b=..."],
        ),
        ("set-cookie", (b"geheim; Path=/",), ["=...; Path=/"]),
        ("Set-Cookie", (b"a=1; token=geheim; Secure; geheim",), ["a=...; ...; Secure; ..."]),
        ("Set-Cookie", (b"",), ["=..."]),
    ],
)
def test_what_is_shown_of_a_value(
    header: str, values: tuple[bytes, ...] | None, expected: list[str] | None
):
    """Cookie values, nonces and values of unknown headers are never shown."""
    found = shown(header, values, 256)

    assert [text[:9] if text[:1] == "(" else text for text in found or ()] == [
        text[:9] if text[:1] == "(" else text for text in expected or ()
    ]
    assert (found is None) is (expected is None)
    assert "geheim" not in str(found)


@given(
    st.sampled_from([row.name for row in headers.ALL] + ["Set-Cookie", "X-Unknown"]),
    st.binary(max_size=600),
    st.integers(1, 300),
)
def test_whatever_is_shown_is_bounded(header: str, value: bytes, cap: int):
    """No value, however long, makes a line long; a hash is short by itself."""
    (text,) = shown(header, (value,), cap) or ()

    assert len(text) <= max(cap, 40)


@given(
    st.binary(min_size=4, max_size=40).filter(
        lambda secret: (
            not set(secret) & set(b"=; \t")
            and secret.decode("latin-1").strip().lower() not in events.ATTRIBUTES
        )
    )
)
def test_no_cookie_value_is_ever_shown(secret: bytes):
    """Wherever it stands: as a value, without a name, or as an unknown attribute."""
    lines = (b"sid=" + secret, secret + b"; Path=/", b"a=1; b=" + secret, b"a=1; " + secret)
    data = shown("Set-Cookie", lines, 10_000)

    assert not any(
        secret.decode("latin-1") in text.replace("...", "").replace("Path=/", "")
        for text in data or ()
    )
