"""Fetching over real connections: both schemes, redirects, certificates, limits, and what is
said when nothing comes.
"""

import asyncio

import pytest

from sidecar.audit import retrieve
from sidecar.audit.retrieve import Options, in_scheme, visits
from sidecar.audit.visit import MAX_HOPS
from sidecar.cli.options import trust
from sidecar.observed import ObservedResponse, complete, join, without_query
from sidecar.trust import authorities
from tests.audit.origin import response
from tests.listening import listening
from tests.patience import PATIENCE

PAGE = response("Content-Type: text/html", body=b"<p>x</p>")


async def visit(url, options=None):
    (seen,) = await visits([url], options or Options(timeout=PATIENCE), lambda: None)
    return seen


@pytest.mark.parametrize(
    ("url", "scheme", "options", "made"),
    [
        ("https://a.example/x?y", "http", Options(), "http://a.example/x?y"),
        ("http://a.example:80/", "https", Options(), "https://a.example/"),
        ("https://u:p@a.example:443/", "http", Options(), "http://a.example/"),
        ("https://a.example:8443/", "http", Options(), None),
        ("https://a.example:8443/", "http", Options(http_port=8080), "http://a.example:8080/"),
        ("http://[::1]:8000/", "https", Options(https_port=8443), "https://[::1]:8443/"),
        ("https://a.example:8443/", "https", Options(https_port=1), "https://a.example:8443/"),
    ],
)
def test_the_other_scheme_is_known_on_own_ports_only(url, scheme, options, made):
    """The other scheme's address is guessed where the page is on its scheme's own port; else its
    port must be named.
    """
    assert in_scheme(url, scheme, options) == made


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("a.example", "https://a.example"),
        ("a.example:8443/x", "https://a.example:8443/x"),
        ("http://a.example", "http://a.example"),
    ],
)
def test_an_address_may_lack_its_scheme(typed, url):
    """What is typed without scheme is meant over https."""
    assert complete(typed) == url


@pytest.mark.parametrize(
    "typed",
    [
        "ftp://a.example",
        "https://",
        "",
        "https://a.example:port/",
        "http://[::1/",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_address_is_refused_in_words(typed):
    """Other schemes and broken addresses are refused with an example."""
    with pytest.raises(ValueError, match="https://HOST/PATH"):
        complete(typed)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@a.example:8/x?t=1#y", "https://a.example:8/x"),
        ("http://[::1", ":///"),
        ("https://a.example", "https://a.example/"),
        ("https://a.example/\xe9 \x01", "https://a.example/%C3%A9%20%01"),
    ],
)
def test_addresses_are_shown_without_secrets(url, shown):
    """User, password, query and fragment are not shown; what is left is a legal address in
    ASCII.
    """
    assert without_query(url) == shown


def test_references_that_cannot_be_read_lead_nowhere():
    """A Location that is no address ends the chain."""
    assert join("https://a.example/", "http://[::1") == ""
    assert ObservedResponse("https://a.example/", 302, ((b"Location", b"http://[x"),)).target == ""


async def test_everything_is_asked_for_once(site):
    """One visit asks for the page over both schemes, robots.txt and a preflight, with a foreign
    origin, and nothing else.
    """
    site.http.responses["/p?q=1"] = site.https.responses["/p?q=1"] = PAGE

    seen = await visit(
        site.https.url("/p?q=1"),
        Options(timeout=PATIENCE, trust=authorities(site.authority.file), http_port=site.http.port),
    )

    assert [head.partition(b" HTTP")[0] for head in site.https.asked] == [
        b"GET /p?q=1",
        b"GET /robots.txt",
        b"OPTIONS /p?q=1",
    ]
    assert [head.partition(b" HTTP")[0] for head in site.http.asked] == [b"GET /p?q=1"]
    assert f"Origin: {retrieve.ORIGIN}\r\n".encode() in site.https.asked[2]
    assert (seen.page.body, seen.page.url, seen.origin, seen.notes) == (
        b"<p>x</p>",
        site.https.url("/p?q=1"),
        retrieve.ORIGIN,
        (),
    )


async def test_cookies_are_sent_back_on_the_way(site):
    """A page that redirects until its cookie comes back is reached."""
    site.http.responses["/"] = response("Set-Cookie: seen=1", "Location: /in", status="302 Found")
    site.http.responses["/in"] = PAGE

    seen = await visit(site.http.url())

    assert b"Cookie: seen=1\r\n" in site.http.asked[1]
    assert [one.status for one in seen.http] == [302, 200]


async def test_a_redirect_loop_is_cut(site):
    """A site that redirects for ever is left after the tenth hop."""
    site.http.responses["/"] = response("Location: /", status="302 Found")

    seen = await visit(site.http.url())

    assert len(seen.http) == MAX_HOPS + 1


@pytest.mark.parametrize(
    "location",
    [
        "ftp://127.0.0.1/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "//[",
        "http://127.0.0.1:99999/",
    ],
)
async def test_redirects_lead_to_http_only(site, location):
    """A redirect to another scheme, or to nowhere, is not followed, and the response that made
    it is judged.
    """
    site.http.responses["/"] = response(f"Location: {location}", status="302 Found")

    seen = await visit(site.http.url())

    assert [one.status for one in seen.http] == [302]


async def test_a_bad_certificate_is_reported_and_the_page_still_seen(site):
    """The page behind a certificate that nobody vouches for is fetched, marked, and the reason
    noted.
    """
    site.bad.responses["/"] = PAGE

    seen = await visit(
        site.bad.url(),
        Options(timeout=PATIENCE, trust=authorities(site.authority.file), http_port=site.closed),
    )

    assert (seen.page.status, seen.page.verified) == (200, False)
    assert any("bad certificate: self-signed certificate" in note for note in seen.notes)


async def test_insecure_takes_any_certificate_and_says_so(site):
    """With --insecure the certificate is not judged, which is noted."""
    site.bad.responses["/"] = PAGE

    seen = await visit(
        site.bad.url(),
        Options(timeout=PATIENCE, trust=trust(None, insecure=True), http_port=site.closed),
    )

    assert seen.page.verified
    assert "certificates were not checked" in seen.notes


async def test_a_silent_server_costs_no_more_than_the_timeout(site):
    """A response that drips for ever is given up in time; the addresses beside it are not held
    up.
    """

    async def drip(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    site.http.responses["/"] = PAGE
    done = []
    async with listening(drip) as port:
        silent, page = await asyncio.wait_for(
            visits(
                [f"http://127.0.0.1:{port}/", site.http.url()],
                Options(timeout=2.0, https_port=site.closed),
                lambda: done.append(1),
            ),
            PATIENCE,
        )

    assert (silent.page, page.page.status, done) == (None, 200, [1, 1])
    assert f"http://127.0.0.1:{port}/: no response: timed out" in silent.notes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(600)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["nothing", "no HTTP", "no field", "600 fields", "a long field", "bad chunks"],
)
async def test_responses_that_cannot_be_read_are_noted(site, data):
    """What is no response, or beyond the limits, ends in a note and never in an exception."""
    site.http.responses["/"] = data

    seen = await visit(site.http.url())

    assert seen.page is None or seen.page.body == b""
    assert seen.page or any("no response" in note for note in seen.notes)


async def test_bodies_are_read_of_documents_only_and_up_to_the_cap(site):
    """Two mebibytes of a document are kept, of a broken one what came, of an image nothing."""
    site.http.responses |= {
        "/big": response("Content-Type: text/html", body=b"x" * (3 << 20)),
        "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        "/image": response("Content-Type: image/png", body=b"x"),
    }

    seen = await visits(
        [site.http.url(path) for path in ("/big", "/cut", "/image")],
        Options(timeout=PATIENCE),
        lambda: None,
    )

    assert [len(one.page.body) for one in seen] == [2 << 20, 3, 0]


async def test_names_and_values_arrive_as_they_were_sent(site):
    """Case, order, copies and bytes outside ASCII are kept."""
    site.http.responses["/"] = response("x-A: \xe9 1", "X-a:2", "X-A: ")

    seen = await visit(site.http.url())

    assert seen.page.fields[:3] == ((b"x-A", b"\xe9 1"), (b"X-a", b"2"), (b"X-A", b""))
    assert seen.page.values("X-a") == ("\xe9 1", "2", "")


def test_a_file_of_authorities_must_hold_some(tmp_path):
    """A file without certificates is refused, and not taken for the system's."""
    (tmp_path / "empty.pem").write_text("nothing")

    with pytest.raises(OSError, match=r"(?i)certificate|pem"):
        authorities(tmp_path / "empty.pem")
