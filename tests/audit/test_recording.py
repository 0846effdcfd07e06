"""Recorded responses: HTTP archives and raw text become the visits that a live look would have
made.
"""

import base64
import gzip
import json

import pytest

from sidecar.audit.observatory import look, observatory_results
from sidecar.audit.visit import from_har, from_raw
from sidecar.observed import NoResponse


def entry(url, *headers, status=200, method="GET", **content):
    return {
        "request": {"method": method, "url": url},
        "response": {
            "status": status,
            "headers": [{"name": name, "value": value} for name, value in headers],
            "content": content,
        },
    }


def har(*entries):
    return json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()


HTML = ("content-type", "text/html; charset=utf-8")


def outcomes(visit):
    return {result.outcome for result in observatory_results(look(visit))}


def test_an_archive_gives_its_pages_grouped_by_host():
    """Documents are pages, one for each address without query, grouped by host; what else was
    loaded is none.
    """
    data = har(
        entry("https://a.example/", HTML),
        entry("https://cdn.example/x.js", ("content-type", "text/javascript")),
        entry("https://b.example/", HTML),
        entry("https://a.example/two?x=1", HTML),
        entry("https://a.example/two?x=2", HTML),
        entry("https://a.example/api", ("content-type", "application/json")),
        entry("https://a.example/", HTML, method="POST"),
        entry("https://a.example/cut", HTML, status=0),
    )

    assert [visit.page.url for visit in from_har(data)] == [
        "https://a.example/",
        "https://a.example/two?x=1",
        "https://b.example/",
    ]


def test_an_archive_without_documents_gives_each_hosts_first_response():
    """An archive of an API has pages all the same."""
    data = har(
        entry("https://a.example/api", ("content-type", "application/json")),
        entry("https://a.example/more", ("content-type", "application/json")),
    )

    assert [visit.page.url for visit in from_har(data)] == ["https://a.example/api"]


def test_an_archive_keeps_redirects_cookies_and_bodies():
    """The plain-HTTP chain, cookies of the host's other responses, joined Set-Cookie lines and
    decoded bodies are all judged.
    """
    body = base64.b64encode(b"<script src=https://cdn.other/x.js></script>").decode()
    data = har(
        entry("http://a.example/", ("location", "https://a.example/"), status=301),
        entry(
            "https://a.example/",
            HTML,
            (":status", "200"),
            ("content-encoding", "br"),
            ("set-cookie", "x=1; Secure\nsessionid=2; Secure"),
            text=body,
            encoding="base64",
        ),
        entry("https://a.example/api", ("set-cookie", "y=1; Secure; SameSite=Lax")),
    )

    (visit,) = from_har(data)

    assert [response.url for response in visit.http] == ["http://a.example/", "https://a.example/"]
    assert {
        "redirection-to-https",
        "sri-not-implemented-but-external-scripts-loaded-securely",
        "cookies-session-without-httponly-flag",
        "cross-origin-resource-sharing-not-implemented",
    } <= outcomes(visit)


def test_a_page_over_plain_http_has_no_other_scheme():
    """A document that came over http has no https chain, and did not redirect."""
    (visit,) = from_har(har(entry("http://a.example/page", HTML)))

    assert {"hsts-not-implemented-no-https", "redirection-missing"} <= outcomes(visit)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"log": {"entries": 5}}',
        b'{"log": {"entries": []}}',
        b'{"log": {"entries": [1, {}, {"request": {}}]}}',
        b"[" * 100_000,
    ],
)
def test_no_archive_is_refused_in_words(data):
    """What is no archive, or holds no responses, is refused with a sentence."""
    with pytest.raises(NoResponse, match=r"archive"):
        from_har(data)


RAW = b"""HTTP/1.1 100 Continue\r
\r
HTTP/1.1 301 Moved Permanently\r
Location: https://a.example/\r
\r
HTTP/2 200 \r
content-type: text/html\r
strict-transport-security: max-age=31536000\r
X-Folded: a\r
\tb\r
no field at all\r
set-cookie: a=1; Secure\r
set-cookie: b=1; Secure\r
\r
<p>body</p>\r
"""


@pytest.mark.parametrize("text", [RAW, RAW.replace(b"\r\n", b"\n")], ids=["CRLF", "LF"])
def test_raw_responses_are_read_as_curl_prints_them(text):
    """Interim responses are passed over, redirects followed, folded and repeated lines kept,
    bodies found.
    """
    (visit,) = from_raw(text, "http://a.example/")

    assert [response.url for response in visit.http] == ["http://a.example/", "https://a.example/"]
    assert visit.https == visit.http[1:]
    assert (visit.page.values("x-folded"), visit.page.values("set-cookie"), visit.page.body) == (
        ("a b",),
        ("a=1; Secure", "b=1; Secure"),
        b"<p>body</p>",
    )
    assert {"redirection-to-https", "hsts-implemented-max-age-at-least-six-months"} <= outcomes(
        visit
    )


def test_responses_that_do_not_redirect_are_pages_of_their_own():
    """Two final responses in one text are two visits of the same address."""
    visits = from_raw(
        b"HTTP/1.1 200 OK\n\none\nHTTP/1.1 404 Not Found\nServer: x\n\n", "https://a.example/"
    )

    assert [(visit.page.status, visit.page.body) for visit in visits] == [(200, b"one"), (404, b"")]
    assert [visit.http for visit in visits] == [(), ()]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (
            gzip.compress(b"<script src=x>"),
            "sri-not-implemented-but-all-scripts-loaded-from-secure-origin",
        ),
        (b"<script src=x>", "sri-not-implemented-but-all-scripts-loaded-from-secure-origin"),
    ],
    ids=["coded", "decoded"],
)
def test_raw_bodies_are_read_coded_or_decoded(body, outcome):
    """With `curl -si` a body stays coded, with --compressed it does not; the header says gzip in
    both.
    """
    (visit,) = from_raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n" + body,
        "https://a.example/",
    )

    assert outcome in outcomes(visit)


@pytest.mark.parametrize(
    "data",
    [b"", b"Server: x\r\n\r\n", b"<html>\nHTTP/1.1 200 OK\n\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
)
def test_text_without_status_line_is_refused_in_words(data):
    """What does not begin with a status line is refused with the command that records one."""
    with pytest.raises(NoResponse, match="curl -si"):
        from_raw(data, "https://a.example/")
