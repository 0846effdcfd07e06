"""Pages that are read while a rule is in trial: which ones, decoded how, and never more than is
said.
"""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
from backports import zstd

from sidecar.policy.browsers.pages import PageElements
from sidecar.policy.rules.conditions import Facts
from sidecar.telemetry.pages import (
    FIRST,
    MAX_BYTES,
    MAX_COPIES,
    MAX_PATHS,
    MAX_READERS,
    MAX_VERSIONS,
    PageCopy,
    PageReader,
)
from tests.policy.making import facts, plan
from tests.telemetry.test_trials import CSP, page

HTML = b"<script>a</script><img src=/b.png>"


def served(*fields: tuple[bytes, bytes]) -> Facts:
    """A page of shop.example, as a browser asks for it."""
    asked = page(*fields)
    return asked._replace(request=[*asked.request, (b"Host", b"shop.example")])


class Harness:
    """A reader, its route, and what was read."""

    def __init__(self, share: float = 0.05, draw: float = 0.5) -> None:
        self.route = plan({"it": CSP}, mode="trial").routes[-1]
        self.reader = PageReader(share, lambda: draw)
        self.read: list[tuple[str, str, str, PageElements]] = []
        self.reader.on_page = lambda *reported: self.read.append(reported)

    def copy(self, response: Facts) -> PageCopy | None:
        """The copy of one response."""
        return self.reader.copy(self.route, response)

    def reading(
        self,
        body: bytes,
        *fields: tuple[bytes, bytes],
        made: Callable[..., Facts] = served,
    ) -> list[str]:
        """The inline code that is found in one body."""

        async def serve() -> None:
            copy = self.copy(made(*fields))
            assert copy is not None
            for at in range(0, len(body), 50_000):
                copy.take(body[at : at + 50_000])
            copy.end()
            while not self.read:
                await asyncio.sleep(0)

        asyncio.run(serve())
        return [piece.text for piece in self.read[0][3].inline]


def raw_deflate(data: bytes) -> bytes:
    """Without zlib's head, as some services send it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODINGS = [
    (b"", HTML),
    (b"identity", HTML),
    (b"gzip", gzip.compress(HTML, mtime=0)),
    (b"GZip", gzip.compress(HTML, mtime=0)),
    (b"deflate", zlib.compress(HTML)),
    (b"deflate", raw_deflate(HTML)),
    (b"br", brotli.compress(HTML)),
    (b"zstd", zstd.compress(HTML)),
]


@pytest.mark.parametrize(("coding", "body"), CODINGS, ids=range(len(CODINGS)))
def test_a_page_is_read_decoded(coding: bytes, body: bytes):
    """In each coding that browsers ask for."""
    harness = Harness()

    assert harness.reading(body, (b"Content-Encoding", coding)) == ["a"]
    assert harness.read[0][:3] == ("default", "/", "")
    assert harness.read[0][3].urls == (("img-src", "https://shop.example/b.png"),)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        (b"gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"br", brotli.compress),
        (b"zstd", zstd.compress),
    ],
)
def test_a_bomb_is_cut(coding: bytes, pack: Callable[[bytes], bytes]):
    """What decodes to 16 MiB is read up to the bound, and nothing beyond it is decoded."""
    body = pack(HTML + b" " * (16 * MAX_BYTES))
    copy = Harness().copy(page((b"Content-Encoding", coding)))
    assert copy is not None
    copy.take(body)
    slices = list(copy.decoded())

    assert sum(map(len, slices)) == MAX_BYTES
    assert max(map(len, slices)) <= MAX_BYTES // 8


@pytest.mark.parametrize(("coding", "body"), CODINGS[2:], ids=range(len(CODINGS) - 2))
def test_a_broken_body_is_read_as_far_as_it_goes(coding: bytes, body: bytes):
    """Cut in the middle, or no such coding at all: nothing raises."""
    for broken in (body[:-5], body[:1], b"\xff\xff\xff", b""):
        copy = Harness().copy(page((b"Content-Encoding", coding)))
        assert copy is not None
        copy.take(broken)
        assert HTML.startswith(b"".join(copy.decoded()))


@pytest.mark.parametrize(
    "response",
    [
        page(method="HEAD"),
        page(status=304),
        page(status=206),
        page(media=b"application/json"),
        page(dest=b"image"),
        page((b"Content-Encoding", b"gzip, br")),
        page((b"Content-Encoding", b"aes128gcm")),
        facts((b"Content-Type", b"text/html")),
    ],
)
def test_what_is_no_page_is_not_copied(response: Facts):
    """No body, a part of one, data, an image, what cannot be decoded, and what asks for no page."""
    assert Harness().copy(response) is None


def test_the_first_pages_of_a_route_are_read_then_a_share():
    """Small sites have their inventory early; large ones pay for a share."""
    harness = Harness(draw=0.5)
    assert [harness.copy(page()) is not None for _ in range(FIRST + 2)] == [True] * FIRST + [
        False
    ] * 2
    harness.reader.activated()
    assert harness.copy(page()) is not None
    assert Harness(share=0.0).copy(page()) is None


def test_a_page_that_is_loaded_late_is_read_once():
    """It may hold what no other page of its route does. Errors have as many paths as anyone asks
    for.
    """
    harness = Harness(draw=0.5)
    for _ in range(FIRST):
        harness.copy(page())

    late = page()._replace(path="/late")
    assert [harness.copy(late) is not None for _ in range(2)] == [True, False]
    assert harness.copy(page(status=404)._replace(path="/none")) is None
    more = (page()._replace(path=f"/{number}") for number in range(MAX_PATHS + 5))
    assert sum(harness.copy(one) is not None for one in more) == MAX_PATHS - 2


def test_a_page_is_read_again_for_who_has_other_cookies():
    """A login shows in their names; of how many, is bounded."""
    harness = Harness(draw=0.5)
    for _ in range(FIRST):
        harness.copy(page())

    def asked(cookie: bytes) -> bool:
        one = page()
        return harness.copy(one._replace(request=[*one.request, (b"Cookie", cookie)])) is not None

    assert [asked(one) for one in (b"a=1; in=2", b"in=3; a=4", b"a=1")] == [True, False, True]
    assert sum(asked(b"%d=1" % number) for number in range(10)) == MAX_READERS - 3


def test_who_names_many_cookies_holds_no_memory():
    """The names are the client's own words: a head of them leaves a few bytes."""
    harness = Harness(draw=0.5)
    one = page()
    names = (b";".join(b"%d-%d" % (at, number) for number in range(5_000)) for at in range(3))
    heads = [[*one.request, (b"Cookie", cookies)] for cookies in names]
    tracemalloc.start()
    try:
        for head in heads:
            harness.copy(one._replace(request=head))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 100_000


def test_html_that_a_script_fetches_is_read():
    """Scripts put it into the page: frames, links and code as any other."""
    assert Harness().copy(page(dest=b"empty")) is not None
    assert Harness().copy(page(dest=b"empty", media=b"application/json")) is None


def test_only_so_many_copies_are_held():
    """Responses that never end hold no more than a fixed number of copies; one that goes makes
    room.
    """
    harness = Harness(share=1.0)
    held = [copy for _ in range(MAX_COPIES + 5) if (copy := harness.copy(page())) is not None]

    assert len(held) == MAX_COPIES
    held.pop()
    assert harness.copy(page()) is not None


def test_a_copy_is_bounded():
    """Bytes beyond the bound are not kept."""
    copy = Harness().copy(page())
    assert copy is not None
    for _ in range(3):
        copy.take(b"a" * MAX_BYTES)

    assert sum(map(len, copy.decoded())) == MAX_BYTES


def script(*fields: tuple[bytes, bytes], path: str = "/app.js", **more: Any) -> Facts:
    """A script's response to a browser."""
    media = (b"Content-Type", b"text/javascript")
    return facts(media, *fields, request=[(b"Sec-Fetch-Dest", b"worker")], path=path, **more)


def test_a_script_is_read_once_for_its_signs():
    """In its coding, whole, and never as a page."""
    harness = Harness()
    code = b"import 'https://cdn.test/a.js'; navigator.permissions.query({name: 'usb'})"
    assert harness.reading(gzip.compress(code), (b"Content-Encoding", b"gzip"), made=script) == []
    found = ("asks usb", "import")
    assert harness.read[0][3] == PageElements((), (), complete=True, signs=found, script=True)
    assert harness.copy(script()) is None
    assert harness.copy(script(path="/other.js")) is not None
    harness.reader.activated()
    assert harness.copy(script()) is not None


def test_a_script_that_a_worker_loads_later_is_read_again():
    """A worker may do with it what no page does: pages and workers often share one bundle."""
    harness, code = Harness(), b"import 'https://cdn.test/a.js'"
    of_page = script()._replace(request=[(b"Sec-Fetch-Dest", b"script")])
    harness.reading(code, made=lambda *_: of_page)

    assert harness.copy(of_page) is None
    harness.read.clear()
    harness.reading(code, made=script)
    assert harness.read[0][3].signs == ("import",)
    assert [harness.copy(one) for one in (of_page, script())] == [None, None]


def test_another_file_at_the_path_of_a_script_is_read_too():
    """The query, a login or a deployment decides which one it is; so many of them."""
    harness, code = Harness(), b"c.audioWorklet.addModule(url)"
    tags = [(b"ETag", b'"%d"' % number) for number in range(MAX_VERSIONS + 1)]
    for tag in tags[:MAX_VERSIONS]:
        assert harness.copy(script(tag)) is not None
        harness.read.clear()
        harness.reading(code, made=lambda *_, tag=tag: script(tag))
        assert harness.copy(script(tag)) is None
    assert harness.copy(script(tags[-1])) is None


@pytest.mark.parametrize(
    ("dest", "found"),
    [(b"sharedworker", ("imports",)), (b"serviceworker", ("imports",)), (b"worker", ())],
)
def test_what_a_shared_worker_loads_is_a_sign(dest: bytes, found: tuple[str, ...]):
    """Integrity-Policy binds it, but no worker of one page."""
    harness = Harness()
    asked = script()._replace(request=[(b"Sec-Fetch-Dest", dest)])
    harness.reading(b"importScripts('/a.js')", made=lambda *_: asked)
    assert harness.read[0][3].signs == found


@pytest.mark.parametrize("media", [b"text/plain", b"application/octet-stream", b""])
def test_a_script_of_another_type_is_read(media: bytes):
    """Browsers run it, as long as nobody forbids it."""
    of_page = [(b"Sec-Fetch-Dest", b"script")]
    lines = [(b"Content-Type", media)] if media else []
    assert Harness().copy(facts(*lines, request=of_page, path="/a")) is not None
    of_data = [(b"Sec-Fetch-Dest", b"empty")]
    assert Harness().copy(facts(*lines, request=of_data, path="/a")) is None


def test_a_bundle_is_read_beyond_what_is_read_of_a_page():
    """It is only searched, and bundles are longer than pages."""
    harness = Harness()
    harness.reading(b" " * (2 * MAX_BYTES) + b"c.audioWorklet.addModule(url)", made=script)
    assert harness.read[0][3].signs == ("worklet",)


@pytest.mark.parametrize("more", [{"status": 304}, {"status": 206}, {"method": "HEAD"}])
def test_only_whole_scripts_are_read(more: dict[str, Any]):
    """A part could be read as if it were all."""
    assert Harness().copy(script(**more)) is None


@pytest.mark.parametrize(("dest", "found"), [(b"worker", True), (b"script", False), (b"", True)])
def test_a_script_may_be_a_workers_where_nobody_says(dest: bytes, found: bool):
    """On plain http names browsers send no Fetch Metadata."""
    asked = [(b"Sec-Fetch-Dest", dest)] if dest else []
    copy = Harness().copy(script()._replace(request=asked))
    assert copy is not None
    assert copy.worker is found


def test_what_the_headers_of_a_page_say_is_a_sign():
    """Where it leads by itself, and which isolation the service asks for itself."""
    harness = Harness()
    headers = [
        (b"Refresh", b"0; url=http://shop.example:8080/"),
        (b"Cross-Origin-Embedder-Policy", b"unsafe-none"),
    ]
    harness.reading(HTML, *headers)
    assert harness.read[0][3].signs == ("plain", "says cross-origin-embedder-policy")
