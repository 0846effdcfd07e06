"""A structure-aware fuzz: requests made of right and wrong pieces, cut anywhere, judged by what the
origin received.

`python -m tests.wire.fuzz --seconds 600 [--seed N]`. The grammar of faults and the judge. A round
fails when the process complains, a response hangs or is no HTTP, a response lacks the policy, the
origin reads anything but whole well-formed requests, a request reaches it that no well-formed
reading of the bytes contains, or a canary gets another's response.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import h11
import uvloop

from tests.wire.origin import Line
from tests.wire.stage import Stage, read_responses, send

HIDDEN = b"GET /smuggled/%d HTTP/1.1\r\nHost: a\r\n\r\n"
SETTINGS = {
    "timeouts": {
        "header": "60ms",
        "body_idle": "60ms",
        "response": "60ms",
        "idle": "60ms",
        "connect": "2s",
    },
    "limits": {"body": "64KiB"},
}

METHODS = [
    b"GET",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"TRACE",
    b"get",
    b"PRI",
    b"G\0T",
    b"",
]
TARGETS = [
    b"/x",
    b"/x?y",
    b"*",
    b"http://a/x",
    b"http://a",
    b"a:80",
    b"/\xff",
    b"/a b",
    b"/#",
    b"//",
    b"",
    b"/" + b"a" * 300,
    b"http://u@a/",
    b"/%00",
]
VERSIONS = [
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HTTP/1.2",
    b"HTTP/0.9",
    b"http/1.1",
    b"RTSP/1.0",
    b"",
]
ENDS = [b"\r\n"] * 30 + [b"\n", b"\r", b"\r\r\n", b"\r\n ", b"\0\r\n", b" \r\n"]
COLONS = [b": "] * 20 + [b":", b" : ", b":\t", b"\t:", b":\x0b", b":\r\n ", b"::", b": \xa0", b""]
NAMES = [
    b"Content-Length",
    b"Transfer-Encoding",
    b"Connection",
    b"Host",
    b"Expect",
    b"Upgrade",
    b"Trailer",
    b"TE",
    b"X-A",
    b"content_length",
    b"Transfer_Encoding",
    b"X-Forwarded-For",
    b"Keep-Alive",
    b"Proxy",
    b"Sec-WebSocket-Key",
    b"Content-Length\0",
    b"X B",
    b"",
    b"Cookie",
    b"Via",
    b"Max-Forwards",
]
VALUES = [
    b"chunked",
    b"Chunked",
    b"chunked, chunked",
    b"gzip, chunked",
    b"identity",
    b"xchunked",
    b'"chunked"',
    b"\x0bchunked",
    b"close",
    b"keep-alive",
    b"upgrade",
    b"websocket",
    b"h2c",
    b"100-continue",
    b"0",
    b"1",
    b"5",
    b"05",
    b"+5",
    b"-1",
    b"5, 5",
    b"0x5",
    b"99999999999999999999",
    b"a",
    b"b",
    b"\xff",
    b"a\0b",
    b"a\rb",
    b"dGhlIHNhbXBsZSBub25jZQ==",
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"",
    b"trailers",
    b"a" * 5000,
]
SIZES = [
    b"%x",
    b"%X",
    b"0%x",
    b"%x;a=b",
    b"+%x",
    b"0x%x",
    b" %x",
    b"%x ",
    b"%x;\n",
    b"-%x",
    b"%x_0",
    b"%x\t",
]


@dataclass
class Report:
    """What a run saw."""

    rounds: int = 0
    responses: int = 0
    reached: int = 0
    failures: list[str] = field(default_factory=list)


def _line(rng: random.Random) -> bytes:
    return rng.choice(NAMES) + rng.choice(COLONS) + rng.choice(VALUES) + rng.choice(ENDS)


def _chunks(rng: random.Random, body: bytes, *, wild: bool) -> bytes:
    made, at = b"", 0
    while at < len(body):
        step = rng.randint(1, len(body))
        piece = body[at : at + step]
        size = rng.choice(SIZES if wild and rng.random() < 0.3 else SIZES[:4]) % len(piece)
        end = rng.choice(ENDS) if wild else b"\r\n"
        made += size + end + piece + (rng.choice(ENDS) if wild else b"\r\n")
        at += step
    trailers = b"".join(
        _line(rng) if wild else b"X-T: 1\r\n" for _ in range(rng.choice([0, 0, 1, 2]))
    )
    return made + b"0\r\n" + trailers + b"\r\n"


def request(rng: random.Random, number: int) -> bytes:
    """One request: well-formed at heart, with between none and a few faults."""
    wild = rng.random() < 0.4
    hidden = HIDDEN % number
    body = rng.choice([b"", b"hello", hidden, hidden * 2])
    method = rng.choice(METHODS) if wild and rng.random() < 0.2 else rng.choice(METHODS[:6])
    target = rng.choice(TARGETS) if wild and rng.random() < 0.2 else b"/r/%d" % number
    version = rng.choice(VERSIONS) if wild else b"HTTP/1.1"
    lines = [b"Host: a\r\n"]
    framing = rng.choice(["length", "chunked", "none", "both"] if wild else ["length", "chunked"])
    if framing in ("length", "both"):
        lines.append(
            b"Content-Length: %d\r\n" % (len(body) + (rng.choice([0, 0, 0, 1, -1]) if wild else 0))
        )
    if framing in ("chunked", "both"):
        lines.append(b"Transfer-Encoding: chunked\r\n")
        body = _chunks(rng, body, wild=wild)
    if wild:
        lines += [_line(rng) for _ in range(rng.choice([0, 1, 1, 2, 3]))]
        rng.shuffle(lines)
    return (
        method
        + b" "
        + target
        + b" "
        + version
        + (rng.choice(ENDS) if wild else b"\r\n")
        + b"".join(lines)
        + b"\r\n"
        + body
    )


def mutated(rng: random.Random, data: bytes) -> bytes:
    """A few bytes changed, cut or doubled."""
    for _ in range(rng.choice([0, 0, 0, 1, 2, 4])):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + data[at + rng.randint(1, 8) :]
        elif kind == 2:
            data = (
                data[:at]
                + rng.choice([b"\r\n", b"\n", b"\r", b"\0", b"\r\n\r\n", b" ", b"0\r\n\r\n"])
                + data[at:]
            )
        else:
            data = data[:at] + data[at : at + 20] + data[at:]
    return data


def response(rng: random.Random) -> bytes:
    """One response of the upstream, of the same kind."""
    wild = rng.random() < 0.6
    status = rng.choice(
        [b"200 OK", b"204 N", b"304 N", b"103 E", b"101 S", b"100 C", b"99 X", b"700 X", b"200"]
        if wild
        else [b"200 OK"]
    )
    body = rng.choice([b"", b"hello", b"HTTP/1.1 299 EVIL\r\nContent-Length: 4\r\n\r\nevil"])
    lines = [
        b"Content-Length: %d\r\n"
        % (len(body) + (rng.choice([0, 0, 1, -1]) if wild and body else 0))
    ]
    if rng.random() < 0.5:
        lines = [b"Transfer-Encoding: chunked\r\n"]
        body = _chunks(rng, body, wild=wild)
    if wild:
        lines += [_line(rng) for _ in range(rng.choice([0, 1, 2]))]
        rng.shuffle(lines)
    version = rng.choice(VERSIONS) if wild else b"HTTP/1.1"
    data = (
        version
        + b" "
        + status
        + b"\r\n"
        + b"".join(lines)
        + b"\r\n"
        + body
        + (rng.choice([b"", body]) if wild else b"")
    )
    return mutated(rng, data) if wild else data


def pieces(rng: random.Random, data: bytes) -> list[bytes]:
    """The same bytes in up to six writes."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 0, 1, 2, 5])))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def run(seed: int, goes_on: Callable[[Report], bool]) -> Report:
    """Fuzz as long as it goes on, on the loop that users have; stops at the first failure, whose
    text holds the bytes.
    """
    report = Report()
    with Stage(SETTINGS, loop_factory=uvloop.new_event_loop).running() as stage:
        while goes_on(report) and not report.failures:
            rng = random.Random(f"{seed}/{report.rounds}")
            _round(stage, rng, report)
            report.rounds += 1
    return report


def _round(stage: Stage, rng: random.Random, report: Report) -> None:
    origin = stage.origin
    origin.forget()
    upstream_side = rng.random() < 0.4
    numbers = [report.rounds * 10 + at for at in range(rng.choice([1, 2, 3, 4]))]
    if upstream_side:
        raw = [response(rng) for _ in range(4)]

        async def script(line: Line) -> None:
            data = raw.pop() if raw else b""
            for piece in pieces(random.Random(rng.random()), data):
                await line.send(piece)
            if not data or len(data) % 3 == 0:
                line.writer.close()

        origin.script = script
        data = b"".join(b"GET /r/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in numbers)
    else:
        data = b"".join(request(rng, number) for number in numbers)
        data = mutated(rng, data) if rng.random() < 0.3 else data
    given = f"seed of round {report.rounds}: {data!r}"
    try:
        with stage.connect() as client:
            for piece in pieces(rng, data):
                send(client, piece)
                if rng.random() < 0.2:
                    time.sleep(0.001)
            replies = [] if rng.random() < 0.05 else _replies(client, data)
        report.responses += len(replies)
        for reply in replies:
            if reply.values("x-policy") != ["on"]:
                report.failures.append(f"a response without the policy: {reply}; {given}")
        stage.canary()
    except Exception as error:  # noqa: BLE001  (a hang, a parse error of h11, a canary)
        report.failures.append(f"{type(error).__name__}: {error}; {stage.complaints}; {given}")
        return
    _judge(stage, data, given, report, upstream_side=upstream_side)


def _replies(client, data: bytes) -> list:
    if (
        b"HEAD " in data or b"CONNECT" in data
    ):  # whose responses' bodies the client cannot frame without knowing the order
        with contextlib.suppress(ConnectionError):
            while client.recv(65_536):
                pass
        return []
    return read_responses(client, responses=8)


ADDED = frozenset(
    {
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "forwarded",
        "via",
        "x-request-id",
        "host",
        "max-forwards",
    }
)
"""Lines that are ours to write; all others must be the client's own, in the same request."""

Meant = tuple[str, bytes, frozenset[tuple[str, str]]]


def read_by_h11(data: bytes) -> list[Meant]:
    """Method, body and lines of each whole request that h11 finds, one behind the other, until
    it refuses.
    """
    found: list[Meant] = []
    while data:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        # RFC 9112 section 2.2 (empty lines ahead) and section 3 (several spaces behind the method).
        parser.receive_data(re.sub(rb"\A(?:\r\n)*(\S+) +", rb"\1 ", data))
        method, body, lines = "", b"", frozenset()
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError:
                return found
            if isinstance(event, h11.Request):
                method = event.method.decode()
                lines = frozenset(
                    (name.decode(), value.decode("latin-1").lower())
                    for name, value in event.headers
                )
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return found
        found.append((method, body, lines))
        data = parser.trailing_data[0]
    return found


def _judge(stage: Stage, data: bytes, given: str, report: Report, *, upstream_side: bool) -> None:
    meant = read_by_h11(data)
    for seen in stage.origin.requests:
        if seen.target.startswith("/canary/"):
            continue
        report.reached += 1
        own = {
            (name.lower(), value.lower())
            for name, value in seen.headers
            if name.lower() not in ADDED
        }
        if not upstream_side and not any(
            (seen.method, seen.body) == request[:2] and own <= request[2] for request in meant
        ):
            report.failures.append(f"reached {seen.raw!r}, meant {meant}; {given}")
        names = [name.lower() for name, _ in seen.headers]
        framing = [name for name in names if name in ("content-length", "transfer-encoding")]
        if (
            len(framing) > 1
            or names.count("host") != 1
            or any(
                "_" in name or name in ("proxy", "te", "keep-alive", "trailer") for name in names
            )
        ):
            report.failures.append(f"forwarded {seen.raw!r}; {given}")
        if seen.values("x-forwarded-for") != ["127.0.0.1"]:
            report.failures.append(f"forwarding line spoofed: {seen.raw!r}; {given}")
    for error in stage.origin.errors:
        if not error.startswith("incomplete"):
            report.failures.append(f"the origin could not read: {error}; {given}")
    if stage.complaints:
        report.failures.append(f"complaints {stage.complaints}; {given}")


def main() -> int:
    """The command."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    chosen = arguments.parse_args()
    ends = time.monotonic() + chosen.seconds
    report = run(chosen.seed, lambda _: time.monotonic() < ends)
    print(
        f"seed {chosen.seed}: {report.rounds} rounds, {report.responses} responses,"
        f" {report.reached} requests reached the origin"
    )
    for failure in report.failures:
        print("FAILED", failure)
    return 1 if report.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
