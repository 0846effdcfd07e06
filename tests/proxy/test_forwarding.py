"""What the upstream is told of the client, by who the peer is.

`Forwarder` over requests as objects.
"""

from __future__ import annotations

import pytest

from sidecar.proxy.faults import Refused
from sidecar.proxy.forwarding import ClientOrigin, Forwarder
from sidecar.proxy.http1.requests import Request, RequestReader
from sidecar.settings import Forwarding, Limits

STRANGER, TRUSTED = "203.0.113.9", "10.0.0.5"
OTHERS = (
    "X-Real-IP",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded",
    "Forwarded-For",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Original-Forwarded-For",
)
"""Claims that the sidecar does not read."""


def asked(forwarder: Forwarder, host: str, claims: dict[bytes, list[bytes]]) -> Request:
    """A request as its bytes make it; without a host it is of HTTP/1.0."""
    lines = [b"GET / HTTP/1.1", b"Host: " + host.encode()] if host else [b"GET / HTTP/1.0"]
    lines += [name + b": " + value for name, values in claims.items() for value in values]
    reader = RequestReader(Limits(), forwarder.id_key, None, b"upstream")
    request = reader.read(b"\r\n".join([*lines, b"", b""]))
    assert request is not None
    return request


def asks(
    forwarder: Forwarder,
    peer: str,
    claims: dict[bytes, list[bytes]],
    *,
    host: str = "a.example",
    scheme: str = "http",
) -> ClientOrigin:
    request = asked(forwarder, host, claims)
    return forwarder.origin(forwarder.peer(peer, 18000, scheme), request)


def lines(origin: ClientOrigin) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in origin.lines.decode().split("\r\n") if line)


def forwarder(**setting: object) -> Forwarder:
    return Forwarder(Forwarding(**{"trusted": ("10.0.0.0/8", "fd00::/8"), **setting}))


def test_stranger() -> None:
    """Nothing that an untrusted peer says of others is believed or passed on."""
    claims = {
        b"x-forwarded-for": [b"6.6.6.6"],
        b"x-forwarded-proto": [b"https"],
        b"x-forwarded-host": [b"evil"],
        b"x-forwarded-port": [b"1"],
        b"forwarded": [b"for=6.6.6.6;proto=https"],
        b"x-request-id": [b"theirs"],
        **{name.encode(): [b"6.6.6.6"] for name in OTHERS},
    }
    origin = asks(forwarder(via=False), STRANGER, claims)
    data = lines(origin)
    assert (origin.client, origin.scheme) == (STRANGER, "http")
    assert data.pop("X-Request-ID") == origin.request_id != "theirs"
    assert data == {
        "X-Forwarded-For": STRANGER,
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "a.example",
        "X-Forwarded-Port": "18000",
        "Forwarded": f'for={STRANGER};host="a.example";proto=http',
    }


@pytest.mark.parametrize(
    ("claimed", "chain"),
    [
        ([b"198.51.100.1"], "198.51.100.1, 10.0.0.5"),
        ([b"6.6.6.6, 198.51.100.1"], "198.51.100.1, 10.0.0.5"),
        ([b"6.6.6.6", b"198.51.100.1, 10.9.9.9"], "198.51.100.1, 10.9.9.9, 10.0.0.5"),
        ([b"6.6.6.6, unknown, 10.9.9.9"], "10.9.9.9, 10.0.0.5"),
        ([b"10.1.1.1"], "10.1.1.1, 10.0.0.5"),
        ([b"198.51.100.1:4711"], "198.51.100.1, 10.0.0.5"),
        ([b"[2001:db8::1]:4711"], "2001:db8::1, 10.0.0.5"),
        ([b"2001:db8::1"], "2001:db8::1, 10.0.0.5"),
        ([b"\xff\xfe"], "10.0.0.5"),
        ([b""], "10.0.0.5"),
        ([b"198.51.100.1\tx"], "10.0.0.5"),
        ([b"fe80::1%eth0"], "fe80::1, 10.0.0.5"),
        ([b'6.6.6.6, fd00::1%";proto=https'], "6.6.6.6, fd00::1, 10.0.0.5"),
        ([b"6.6.6.6, fd00::1%\xe9"], "6.6.6.6, fd00::1, 10.0.0.5"),
        ([b"::ffff:198.51.100.1"], "198.51.100.1, 10.0.0.5"),
    ],
)
def test_chain_of_a_trusted_peer(claimed: list[bytes], chain: str) -> None:
    """The chain is believed from the right, up to and with the first address that is not
    trusted; what is no address ends it.
    """
    origin = asks(forwarder(), TRUSTED, {b"x-forwarded-for": claimed})
    assert lines(origin)["X-Forwarded-For"] == chain
    assert origin.client == chain.partition(",")[0]


def test_forwarded_of_a_trusted_peer() -> None:
    """RFC 7239 section 4: Forwarded counts where there is no X-Forwarded-For, and is written
    anew.
    """
    claims = {
        b"forwarded": [b'for="[2001:db8::7]:99";proto=https;host=a, FOR=10.2.2.2;Proto=HTTPS']
    }
    origin = asks(forwarder(), TRUSTED, claims)
    assert (origin.client, origin.scheme) == ("2001:db8::7", "https")
    assert (
        lines(origin)["Forwarded"]
        == 'for="[2001:db8::7]", for=10.2.2.2, for=10.0.0.5;host="a.example";proto=https'
    )


@pytest.mark.parametrize(
    ("said", "scheme"),
    [
        (b"https", "https"),
        (b"HTTPS", "https"),
        (b"http, https", "https"),
        (b"wss", "https"),
        (b"https, ws", "http"),
        (b"javascript", "http"),
        (b"", "http"),
        (b"\xff", "http"),
    ],
)
def test_scheme_of_a_trusted_peer(said: bytes, scheme: str) -> None:
    """The last word on the scheme counts; only http and https are words, and what Traefik says of
    the handshake of a WebSocket.
    """
    assert asks(forwarder(), TRUSTED, {b"x-forwarded-proto": [said]}).scheme == scheme


def test_host_and_port_of_a_trusted_peer() -> None:
    """A trusted peer's host and port pass when they are what they say; else our own stand."""
    data = lines(
        asks(
            forwarder(),
            TRUSTED,
            {b"x-forwarded-host": [b"www.example"], b"x-forwarded-port": [b"443"]},
        )
    )
    assert (data["X-Forwarded-Host"], data["X-Forwarded-Port"]) == ("www.example", "443")
    data = lines(
        asks(forwarder(), TRUSTED, {b"x-forwarded-host": [b'e"vil'], b"x-forwarded-port": [b"x"]})
    )
    assert (data["X-Forwarded-Host"], data["X-Forwarded-Port"]) == ("a.example", "18000")


@pytest.mark.parametrize("name", OTHERS)
def test_other_claims_of_a_trusted_peer(name: str) -> None:
    """What a trusted peer says under other names passes as it came."""
    origin = asks(
        forwarder(), TRUSTED, {name.encode(): [b"a,  b"], b"x-forwarded-for": [b"10.1.1.1"]}
    )
    assert origin.lines.count(f"\r\n{name}: a,  b\r\n".encode()) == 1


def test_underscores_of_a_trusted_peer() -> None:
    """WSGI reads X-Forwarded_Prefix as X-Forwarded-Prefix: it passes from nobody."""
    assert b"Prefix" not in asks(forwarder(), TRUSTED, {b"X-Forwarded_Prefix": [b"/a"]}).lines


def test_other_claims_that_connection_names() -> None:
    """RFC 9110 section 7.6.1: what Connection names ends here, also from a trusted peer."""
    claims = {b"X-Real-IP": [b"10.1.1.1"], b"Connection": [b"x-real-ip"]}
    assert b"Real-IP" not in asks(forwarder(), TRUSTED, claims).lines


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ([b"abc-1"], True),
        ([b"a b"], False),
        ([b"x" * 129], False),
        ([b""], False),
        ([b"a", b"b"], False),
        ([b"\xff"], False),
    ],
)
def test_request_id(said: list[bytes], kept: bool) -> None:
    """A trusted peer's request id is kept when it is one visible word of at most 128 bytes; else
    one is made.
    """
    origin = asks(forwarder(), TRUSTED, {b"x-request-id": said})
    assert (origin.request_id == said[0].decode("latin-1")) is kept
    assert lines(origin)["X-Request-ID"] == origin.request_id


def test_request_ids_differ() -> None:
    """No two requests get the same id, nor do two processes."""
    made = [asks(forwarder(), STRANGER, {}).request_id for _ in range(3)]
    same = forwarder()
    made += [asks(same, STRANGER, {}).request_id for _ in range(3)]
    assert len(set(made)) == 6


def test_name_of_the_request_id() -> None:
    """The request id's header is a setting."""
    named = forwarder(request_id="X-Correlation")
    assert lines(asks(named, TRUSTED, {b"x-correlation": [b"c1"]}))["X-Correlation"] == "c1"


@pytest.mark.parametrize("peer", ["fd00::1", "::ffff:10.1.2.3", "10.1.2.3"])
def test_trusted_networks(peer: str) -> None:
    """IPv6 and mapped IPv4 peers are found in the networks."""
    assert asks(forwarder(), peer, {b"x-forwarded-proto": [b"https"]}).scheme == "https"


@pytest.mark.parametrize("peer", ["11.0.0.1", "fe80::1%eth0", "", "::1"])
def test_untrusted_peers(peer: str) -> None:
    """All others are strangers, and an empty list trusts nobody."""
    assert asks(forwarder(), peer, {b"x-forwarded-proto": [b"https"]}).scheme == "http"
    assert asks(forwarder(trusted=()), TRUSTED, {b"x-forwarded-proto": [b"https"]}).scheme == "http"


def test_ipv6_stranger() -> None:
    """RFC 7239 section 6: an IPv6 address is bracketed and quoted in Forwarded."""
    data = lines(asks(forwarder(), "2001:db8::1", {}))
    assert data["Forwarded"].startswith('for="[2001:db8::1]";')
    assert data["X-Forwarded-For"] == "2001:db8::1"


def test_zone_of_a_peer() -> None:
    """RFC 7239 section 6: an address of a link is written without its zone."""
    data = lines(asks(forwarder(), "fe80::1%eth0", {}))
    assert (data["X-Forwarded-For"], data["Forwarded"][:16]) == ("fe80::1", 'for="[fe80::1]";')


def test_peer_without_a_port() -> None:
    """Behind a Unix socket there is neither address nor port: services make URLs of a port 0."""
    here = forwarder(via=False)
    data = lines(here.origin(here.peer("", 0, "http"), asked(here, "a.example", {})))
    assert data.pop("X-Request-ID")
    assert data == {
        "X-Forwarded-For": "unknown",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "a.example",
        "Forwarded": 'for=unknown;host="a.example";proto=http',
    }


def test_via() -> None:
    """RFC 9110 section 7.6.3: our name is added behind what stands, no empty member is made, and a
    request that has passed here is a loop.
    """
    here = forwarder()
    via = lines(asks(here, STRANGER, {b"via": [b"1.0 edge", b"", b"1.1 cdn"]}))["Via"]
    assert via == f"1.0 edge, 1.1 cdn, 1.1 {here.pseudonym.decode()}"
    with pytest.raises(Refused) as refused:
        asks(here, STRANGER, {b"via": [via.encode()]})
    assert (refused.value.status, refused.value.reason) == (508, "loop")
    assert asks(forwarder(), STRANGER, {b"via": [via.encode()]})


def test_lines_of_one_connection_follow_the_host() -> None:
    """The lines kept for a connection are those of the request's own host."""
    here = forwarder(via=False)
    peer = here.peer(STRANGER, 1, "http")
    for host in ("a", "b", "b", ""):
        request = asked(here, host, {})
        data = lines(here.origin(peer, request))
        assert data.get("X-Forwarded-Host", "") == host
