"""Report-only: the client gets what the service sent, the service gets what the client sent, and
it is reported.
"""

import hashlib
from collections.abc import Callable

import pytest

from tests.e2e import wire
from tests.e2e.canned import Canned
from tests.e2e.conftest import POLICY, FrontOf, Start
from tests.e2e.processes import Service
from tests.e2e.running import Sidecar
from tests.services import samples

TARGETS = (
    "/",
    "/api/items",
    "/old",
    "/nowhere",
    "/broken",
    "/file",
    "/cookies",
    "/repeated",
    "/cached",
    "/gzip",
    "/empty",
    "/chunks",
)
RAW = "/a%2Fb//../%41?x=%20"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", TARGETS)
def test_responses_are_the_services_own(
    service: Service, front_of: FrontOf, method: str, target: str
) -> None:
    """In report-only every header line, in order and case, and every byte of the body is the
    service's own.
    """
    asked = wire.request(method, target)
    direct = wire.ask(service.address, asked)
    through = wire.ask(front_of(service.name).listen, asked)
    assert through.stable == direct.stable
    assert through.body == direct.body


def test_not_modified_is_the_services_own(service: Service, front_of: FrontOf) -> None:
    """A 304 passes without a body and without a changed header."""
    asked = ("/cached", ("If-None-Match", samples.ETAG))
    direct = wire.get(service.address, *asked)
    through = front_of(service.name).get(*asked)
    assert direct.status == 304
    assert through.stable == direct.stable


def test_many_responses_on_one_connection(service: Service, front_of: FrontOf) -> None:
    """A kept connection gives every response in turn, whatever the framing of the one before it."""
    with wire.Line(front_of(service.name).listen) as line:
        for target in (*TARGETS, *reversed(TARGETS)):
            asked = wire.request("GET", target)
            assert line.exchange(asked).body == wire.ask(service.address, asked).body, target


def test_raw_target_reaches_the_service(service: Service, front_of: FrontOf) -> None:
    """Encoded slashes, double slashes, dot segments and the query reach the service byte by
    bytes.
    """
    data = front_of(service.name).get(RAW, ("X-Echo", "1")).json()
    assert data["target"] == RAW


def test_headers_and_body_reach_the_service(service: Service, front_of: FrontOf) -> None:
    """Request headers and body arrive unchanged; only forwarding headers and a request id are
    added.
    """
    body = bytes(range(256)) * 100
    sent = [
        ("Host", "shop.example:8080"),
        ("User-Agent", "proof/1"),
        ("Cookie", "a=1; b=2"),
        ("Accept-Encoding", "br"),
        ("X-Echo", "1"),
    ]
    data = wire.ask(front_of(service.name).listen, wire.request("POST", "/any", sent, body)).json()
    assert data["sha256"] == hashlib.sha256(body).hexdigest()
    got = {name: value for name, value in data["headers"] if name != "content-length"}
    assert got.items() >= {name.lower(): value for name, value in sent}.items()
    assert got.keys() - {name.lower() for name, _ in sent} <= {
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "forwarded",
        "x-request-id",
        "via",
    }
    assert got["x-forwarded-for"] == "127.0.0.1"


def test_request_lines_keep_order_and_case(start: Start) -> None:
    """On the wire to the service stand the client's own lines, in order, case and repetition."""
    lines = [
        "HoSt: shop.example",
        "accept: */*",
        "X-Many: 1",
        "COOKIE: a=1",
        "x-many: 2",
        "X-Obs: caf\xe9",
        "Content-Length: 3",
    ]
    asked = "\r\n".join([f"POST {RAW} HTTP/1.1", *lines, "", "abc"]).encode("latin-1")
    with Canned() as upstream:
        sidecar = start(POLICY, upstream.url)
        assert wire.ask(sidecar.listen, asked).body == b"ok"
        head, body = upstream.requests[0]
    assert body == b"abc"
    wanted = asked.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [line for line in head if line in wanted] == wanted


def test_chunked_upload_reaches_the_service(service: Service, front_of: FrontOf) -> None:
    """A body of unknown length, sent in pieces, arrives whole."""
    pieces = [b"x" * 70_000, b"y", b"z" * 9_000]
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    asked = wire.request("POST", "/any", [("Transfer-Encoding", "chunked"), ("X-Echo", "1")], body)
    data = wire.ask(front_of(service.name).listen, asked).json()
    assert (data["length"], data["sha256"]) == (
        79_001,
        hashlib.sha256(b"".join(pieces)).hexdigest(),
    )


@pytest.mark.parametrize("name", ["flask", "django"])
def test_form_upload_reaches_the_service(
    services: Callable[[str], Service], front_of: FrontOf, name: str
) -> None:
    """A file sent by a form arrives whole, with its name."""
    file = samples.FILE * 8
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="document"; filename="stock.bin"\r\n\r\n'
        + file
        + b"\r\n--edge--\r\n"
    )
    asked = wire.request(
        "POST", "/upload", [("Content-Type", "multipart/form-data; boundary=edge")], body
    )
    data = wire.ask(front_of(services(name).name).listen, asked).json()
    assert (data["target"], data["sha256"]) == ("stock.bin", hashlib.sha256(file).hexdigest())


def changes_made(sidecar: Sidecar) -> list[str]:
    """The samples that count made changes."""
    return [
        line
        for line in sidecar.metrics().splitlines()
        if line.startswith("sidecar_header_changes_total")
    ]


def test_what_would_change_is_reported_and_counted(service: Service, front_of: FrontOf) -> None:
    """Each page counts its violations as report-only and tells what would have changed, rule by
    rule.
    """
    sidecar = front_of(service.name)
    counted = sidecar.metric("sidecar_violations_total", rule="csp", mode="report-only")
    made, since = changes_made(sidecar), len(sidecar.events())
    sidecar.get("/?page=7")
    data = sidecar.event("header.would_change", since, url_path="/")
    changes = {change["rule"]: change for change in data["changes"]}
    assert changes["csp"]["kind"] == "missing"
    assert changes["no-server"]["kind"] == "forbidden"
    assert changes["no-server"]["before"] == [wire.get(service.address, "/").value("Server")]
    assert {change["mode"] for change in data["changes"]} == {"report-only"}
    assert (data["route"], data["http.response.status_code"], data["revision"]) == (
        "default",
        200,
        sidecar.status()["revision"],
    )
    assert sidecar.metric("sidecar_violations_total", rule="csp", mode="report-only") == counted + 1
    assert changes_made(sidecar) == made
    assert sidecar.metric("sidecar_mode", mode="report-only") == 1
