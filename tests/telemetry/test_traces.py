"""Which headers name a trace. Source: W3C Trace Context, sections 3.2 and 4."""

from __future__ import annotations

import pytest

from sidecar.telemetry.spans import trace_id

TRACE, PARENT = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
WHOLE = b"00-" + TRACE + b"-" + PARENT + b"-01"


@pytest.mark.parametrize(
    "head",
    [
        [(b"traceparent", WHOLE)],
        [(b"Host", b"a"), (b"TraceParent", WHOLE), (b"tracestate", b"a=1")],
        [(b"traceparent", b"00-" + TRACE + b"-" + PARENT + b"-ff")],
        [(b"traceparent", b"01" + WHOLE[2:])],
        [(b"traceparent", b"cc" + WHOLE[2:] + b"-what.is-to-come")],
    ],
)
def test_valid(head: list[tuple[bytes, bytes]]) -> None:
    """One header of this version, or of a later one with what it may add."""
    assert trace_id(head) == TRACE.decode()


@pytest.mark.parametrize(
    "head",
    [
        [],
        [(b"traceparent", b"")],
        [(b"traceparent", b"00-short-01")],
        [(b"traceparent", b"\xff" * 55)],
        [(b"traceparent", b"ff" + WHOLE[2:])],
        [(b"traceparent", WHOLE + b"-more")],
        [(b"traceparent", b"01" + WHOLE[2:] + b"more")],
        [(b"traceparent", WHOLE.upper())],
        [(b"traceparent", WHOLE.replace(TRACE, b"0" * 32))],
        [(b"traceparent", WHOLE.replace(PARENT, b"0" * 16))],
        [(b"traceparent", b" " + WHOLE)],
        [(b"traceparent", WHOLE), (b"traceparent", WHOLE)],
        [(b"x-traceparent", WHOLE)],
    ],
)
def test_invalid(head: list[tuple[bytes, bytes]]) -> None:
    """Anything else names no trace, so that nothing of a client's choosing stands in the events."""
    assert trace_id(head) == ""
