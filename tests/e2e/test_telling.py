"""Stdout is JSON lines whatever speaks, secrets stay out of all that is reported, and the event
cap holds.
"""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import wire
from tests.e2e.canned import Canned
from tests.e2e.conftest import POLICY, Start
from tests.e2e.processes import Service, until
from tests.e2e.running import Sidecar

CHATTER = """
import logging, threading, time, warnings

def speak():
    while not logging.getLogger().handlers:
        time.sleep(0.01)
    warnings.warn("a word of warning\\nin two lines", DeprecationWarning)
    logging.getLogger("asyncio").warning("a slow %s", "callback")
    try:
        raise ValueError("a fault \\u2028 within")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("an error in a library")
    logging.getLogger("chatter").info("x" * 10_000)

threading.Thread(target=speak, daemon=True).start()
"""


def test_every_line_is_json_whoever_speaks(tmp_path: Path, shop: Service) -> None:
    """Warnings, library logs and tracebacks come out as JSON objects, one line each, from the
    first byte.
    """
    (tmp_path / "sitecustomize.py").write_text(CHATTER, "utf-8")
    sidecar = Sidecar(tmp_path / "run", POLICY, shop.url)
    sidecar.start(
        {"PYTHONPATH": str(tmp_path), "PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "always"}
    )
    try:
        loud = sidecar.event("x" * 2048)
        assert loud["logger"] == "chatter"
        assert "in two lines" in sidecar.logged_by("py.warnings")[0]["event"]
        assert sidecar.logged_by("asyncio")[0]["level"] == "warning"
        assert "ValueError: a fault" in sidecar.logged_by("aiohttp.server")[0]["exception"]
    finally:
        assert sidecar.stop() == 0
    assert sidecar.child.stdout.read_bytes().startswith(b"{")
    assert sidecar.events()[-1]["event"] == "service.stopped"


PIPE = 1 << 17
"""Twice what a pipe holds; an event has more than 500 bytes."""

SECRET = secrets.token_hex(12)
LEAKY = f"""\
HTTP/1.1 200 OK
Server: Acme/1.0
Set-Cookie: sessionid={SECRET}; Path=/; HttpOnly
Set-Cookie: token={SECRET}
Location: https://shop.example/next?code={SECRET}
Content-Security-Policy: script-src 'nonce-{SECRET}'
Authentication-Info: rspauth="{SECRET}"
X-Internal-Key: {SECRET}
Content-Type: text/html
Content-Length: 2

ok""".replace("\n", "\r\n").encode()
PRYING = """\
version: 1
name: prying
mode: enforce
rules:
  no-cookies: {header: Set-Cookie, action: forbid}
  locked: {cookie: "*", attributes: {HttpOnly: true, SameSite: Lax}}
  no-location: {header: Location, action: forbid}
  csp: {header: Content-Security-Policy, action: set, value: "default-src 'self'"}
  no-key: {header: [X-Internal-Key, Authentication-Info, Server], action: remove}
"""
HOST = ("Host", "shop.example")
ASKED = {
    "credentials": wire.request(
        "GET",
        f"/page?code={SECRET}",
        [
            HOST,
            ("Cookie", f"sessionid={SECRET}"),
            ("Authorization", f"Bearer {SECRET}"),
            ("Proxy-Authorization", f"Basic {SECRET}"),
            ("Referer", f"https://shop.example/login?code={SECRET}"),
            ("X-Request-ID", SECRET),
            ("X-Forwarded-For", SECRET),
            ("X-Api-Key", SECRET),
        ],
    ),
    "a body": wire.request("POST", "/login", [HOST], f"password={SECRET}".encode()),
    "a bad line": wire.request(
        "GET", "/", [HOST, ("Cookie", f"sessionid={SECRET}"), (f"bad name {SECRET}", "x")]
    ),
    "a bad value": wire.request("GET", "/", [HOST, ("Cookie", f"sessionid={SECRET}\x00")]),
    "a bad target": wire.request("GET", f"/a b?code={SECRET}", [HOST]),
    "a bad host": wire.request("GET", "/", [("Host", f"user:{SECRET}@shop.example")]),
    "user and password": wire.request("GET", f"http://user:{SECRET}@shop.example/", [HOST]),
    "a bad version": f"GET /?code={SECRET} HTTP/9.9\r\nHost: a\r\n\r\n".encode(),
    "a long header": wire.request("GET", "/", [HOST, ("Cookie", SECRET * 5000)]),
    "a long target": wire.request("GET", f"/?code={SECRET * 2000}", [HOST]),
    "a length twice": wire.request(
        "POST", f"/?code={SECRET}", [HOST, ("Content-Length", "1"), ("Content-Length", SECRET)]
    ),
}


@pytest.fixture(scope="module")
def leaky() -> Iterator[Canned]:
    """A service whose responses hold secrets."""
    with Canned(LEAKY) as made:
        yield made


@pytest.fixture(scope="module")
def prying(begin: Start, leaky: Canned) -> Sidecar:
    """A sidecar whose policy looks at every header that can hold a secret."""
    return begin(PRYING, leaky.url, log={"level": "debug"})


def fresh(raw: bytes) -> tuple[bytes, str]:
    """The same bytes with a secret that was never sent before."""
    secret = secrets.token_hex(12)
    return raw.replace(SECRET.encode(), secret.encode()), secret


def shown_anywhere(sidecar: Sidecar) -> str:
    """Everything that can be read of a sidecar from outside: stdout, stderr, metrics, status,
    history, the state folder.
    """
    kept = [
        path.read_text("utf-8", "replace") for path in sidecar.state.rglob("*") if path.is_file()
    ]
    responses = [
        sidecar.ask(path).body.decode()
        for path in ("/", "/api/status", "/api/revisions", "/api/evidence")
    ]
    return "\n".join(
        [
            sidecar.child.stdout.read_text(),
            sidecar.child.stderr.read_text(),
            sidecar.metrics(),
            *kept,
            *responses,
        ]
    )


@pytest.mark.parametrize("case", ASKED)
def test_secrets_of_a_request_are_never_reported(prying: Sidecar, case: str) -> None:
    """Cookies, credentials, query strings and the bytes of refused requests stand in no event,
    metric, status, file or own response.
    """
    since = len(prying.events())
    asked, secret = fresh(ASKED[case])
    with wire.Line(prying.listen) as line:
        line.send(asked)
        response = line.response()
    until(lambda: prying.events()[since:], "the event of this request")
    assert secret not in shown_anywhere(prying)
    assert secret.encode() not in b"\n".join((*response.lines, response.body))


def test_secrets_of_an_response_are_never_reported(
    prying: Sidecar, leaky: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What rules find in cookies, redirects, nonces and unknown headers is reported without the
    value.
    """
    since = len(prying.events())
    raw, secret = fresh(LEAKY)
    monkeypatch.setattr(leaky, "response", raw)
    assert secret in str(prying.get("/response"))
    data = prying.event("header.changed", since, url_path="/response")
    changes = {change["rule"]: change for change in data["changes"]}
    assert {"no-cookies", "no-location", "csp", "no-key"} <= changes.keys()
    assert changes["no-cookies"]["before"] == ["sessionid=...; Path=/; HttpOnly", "token=..."]
    assert changes["csp"]["before"] == ["script-src 'nonce-...'"]
    assert secret not in shown_anywhere(prying)


@pytest.mark.parametrize("name", ["admin", "health"])
def test_secrets_sent_to_the_other_listeners_are_never_reported(prying: Sidecar, name: str) -> None:
    """Malformed and unknown requests to the admin and health listeners leave no secret behind,
    not even in the log of the HTTP library.
    """
    address = prying.health if name == "health" else prying.admin_address
    secret = secrets.token_hex(12)
    for asked in (
        *ASKED.values(),
        wire.request("GET", f"/nothing/{SECRET}", [("Host", "127.0.0.1")]),
    ):
        with wire.Line(address) as line:
            line.send(asked.replace(SECRET.encode(), secret.encode()))
            line.begins()
    assert prying.ask("/livez").status == 200
    assert secret not in shown_anywhere(prying)


def test_event_cap_holds_and_counts(start: Start, shop: Service) -> None:
    """More events than the cap allows are not written, but counted and reported."""
    sidecar = start(POLICY, shop.url, log={"events_per_second": 3})
    for _ in range(30):
        sidecar.get("/")
    suppressed = int(
        until(
            lambda: sidecar.metric("sidecar_events_suppressed_total"), "suppressed events counted"
        )
    )
    data = len(sidecar.reported("header.would_change"))
    assert data + suppressed == 30
    assert sidecar.event("events.suppressed")["level"] == "warning"
    assert sidecar.metric("sidecar_violations_total", rule="csp") == 30


def test_blocked_reader_does_not_stop_the_service(tmp_path: Path, shop: Service) -> None:
    """When nobody reads stdout, responses and metrics go on, and the process still ends when it
    is asked to.
    """
    sidecar = Sidecar(tmp_path, POLICY, shop.url, settings={"log": {"events_per_second": 100_000}})
    read, written = os.pipe()
    with os.fdopen(read) as lines:
        child = sidecar.spawn(stdout=written)
        os.close(written)
        try:
            sidecar.serves(
                next(data for data in map(json.loads, lines) if data["event"] == "service.started")
            )
            with wire.Line(sidecar.listen) as line:
                for _ in range(PIPE // 500):
                    assert line.exchange(wire.request("GET", "/")).status == 200
            assert sidecar.ready()[0] == 200
            assert sidecar.metric("sidecar_violations_total", rule="csp") == PIPE // 500
        finally:
            child.ask_to_end()
            assert child.end() == 0
