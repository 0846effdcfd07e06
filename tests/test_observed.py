"""The small HTTP client and the readers of records: what they give of a response, and what they
refuse in words.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sidecar.observed import NoResponse, complete, failure
from sidecar.observed.client import ask
from sidecar.observed.records import from_har, from_raw


@contextmanager
def sending(data: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server's address that sends these bytes to one request, and what it was sent."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(65_536))
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        finally:
            thread.join()


def test_lines_arrive_as_they_were_sent() -> None:
    """Repeated, odd and folded lines keep their order and bytes; the body is read up to the cap;
    redirects are not followed.
    """
    data = b"HTTP/1.1 302 x\r\nLocation: /on\r\nX: \xe9\xff\r\nx: 2\r\nY: a\r\n\tb\r\n\r\nbody"
    with sending(data) as (address, asked):
        found = ask(f"{address}/a?b", headers={"Host": "shop.example"}, most=2)

    assert (found.status, found.body, found.target) == (302, b"bo", f"{address}/on")
    assert found.fields == (
        (b"Location", b"/on"),
        (b"X", b"\xe9\xff"),
        (b"x", b"2"),
        (b"Y", b"a b"),
    )
    assert asked[0].startswith(b"GET /a?b HTTP/1.1\r\n")
    assert b"\r\nHost: shop.example\r\n" in asked[0]
    assert found.facts().path == "/a"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nbad line\r\nX-Frame-Options: DENY\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA b: 1\r\nX-Frame-Options: DENY\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200 + b"\r\n",
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
    ids=["no colon", "space in a name", "too many", "no HTTP", "nothing"],
)
def test_what_is_no_response_is_said(data: bytes) -> None:
    """A head of which lines would be lost is no response: a header that stands in it is never
    reported as missing.
    """
    with sending(data) as (address, _), pytest.raises(NoResponse, match=f"{address}/: no response"):
        ask(address)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 8000)"), "nothing listens"),
        (socket.gaierror(-2, "Name or service not known"), "the host name cannot be resolved"),
        (TimeoutError(110, "Connection timed out"), "timed out"),
        (OSError(101, "Connect call failed ('10.0.0.1', 80)"), "Network is unreachable"),
        (ValueError("a header line is not HTTP\nat all"), "a header line is not HTTP"),
        (ValueError(), "ValueError"),
    ],
)
def test_why_nothing_came_is_said_in_words(error: Exception, said: str) -> None:
    """No number of the system's and no call of a library."""
    assert said in failure(error)
    assert "Errno" not in failure(error)
    assert "call" not in failure(error)


def test_a_port_without_tls_is_named() -> None:
    """https where plain HTTP is spoken: the fix is in the text."""
    with (
        sending(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (address, _),
        pytest.raises(
            NoResponse, match="it does not speak TLS; write http:// in place of https://"
        ),
    ):
        ask(address.replace("http:", "https:"))


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "http://", "http://a:x/", "http://a:0/", "http://a b/"]
)
def test_addresses_are_checked(url: str) -> None:
    """What is no http or https address is refused with the word that is wrong."""
    with pytest.raises(NoResponse, match="unknown address"):
        complete(url)


def test_records_name_themselves() -> None:
    """A record that holds no response is refused by its name."""
    with pytest.raises(NoResponse, match=r"a\.har is no HTTP archive"):
        from_har(b'{"a": 1}', "a.har")
    with pytest.raises(NoResponse, match=r"a\.txt has no status line"):
        from_raw(b"<html>", "http://a.example/", "a.txt")
