"""Pages: what a browser would take for code is found with its hash, and what it would load by
directive.
"""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.browsers.pages import MAX_PIECES, MAX_TEXT, Inline, read_page


def source(text: str) -> str:
    """The source expression of a text, computed apart."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize(
    ("html", "kind", "text"),
    [
        ("<script>a = '&amp;'</script>", "script", "a = '&amp;'"),
        ("<script type=module>import 'a'</script>", "script", "import 'a'"),
        ("<script type=' Text/JavaScript '>a</script>", "script", "a"),
        ("<script language=JavaScript>a</script>", "script", "a"),
        ("<script type=importmap>{}</script>", "script", "{}"),
        ("<script type=speculationrules>{}</script>", "script", "{}"),
        ("<script>a\r\nb\rc</script>", "script", "a\nb\nc"),
        ("<script>a<!-- <script> </script> --></script>", "script", "a<!-- <script> </script> -->"),
        ("<svg><script>a &lt; b</script></svg>", "script", "a < b"),
        ("<svg><script><![CDATA[a < b]]></script></svg>", "script", "a < b"),
        ("<template><script>a</script></template>", "script", "a"),
        (
            "<div><template shadowrootmode=open><script>a</script></template></div>",
            "script",
            "a",
        ),
        ('<iframe srcdoc="&lt;script>a&lt;/script>"></iframe>', "script", "a"),
        ("<body onload='a(&quot;b&quot;)'>", "handler", 'a("b")'),
        ("<p ONCLICK=a>", "handler", "a"),
        ("<style>p > a {}</style>", "style", "p > a {}"),
        ("<style type=text/css>p {}</style>", "style", "p {}"),
        ("<p style='color: red'>", "style-attribute", "color: red"),
        ("<a href=' JavaScript:go(1) '>", "javascript-url", "javascript:go(1)"),
        ("<a href='javascript:go(%22a%22)'>", "javascript-url", 'javascript:go("a")'),
        ("<a href='java\nscript:go(1)'>", "javascript-url", "javascript:go(1)"),
        ("<form action=javascript:a></form>", "javascript-url", "javascript:a"),
        ("<button formaction=javascript:a>", "javascript-url", "javascript:a"),
        ("<iframe src=javascript:a></iframe>", "javascript-url", "javascript:a"),
    ],
)
def test_inline_code_is_found_with_its_hash(html: str, kind: str, text: str):
    """The hash is of what the browser would run, not of what stands in the source."""
    assert read_page(html.encode()).inline == (Inline(kind, text, source(text), 1),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "html",
    [
        "<script type=application/ld+json>{}</script>",
        "<script type=text/template>a</script>",
        "<script src=/a.js>b</script>",
        "<script src>b</script>",
        "<script></script>",
        "<script>never closed",
        "<style type=text/less>a</style>",
        "<!-- <script>a</script> -->",
        "<textarea><script>a</script></textarea>",
        "<p data-on=a on-click=b style=''>",
        "<p href=javascript:a>",
    ],
)
def test_what_no_policy_rules_on_is_no_inline_code(html: str):
    """Data blocks, comments, text, what is empty, and a script that is never closed."""
    assert read_page(html.encode()).inline == ()


@pytest.mark.parametrize(
    ("html", "directive", "url"),
    [
        ("<script src=/a.js?v=1#x></script>", "script-src-elem", "https://a.test/a.js"),
        ("<script src=//cdn.test/a.js></script>", "script-src-elem", "https://cdn.test/a.js"),
        ("<svg><script href=a.js></script></svg>", "script-src-elem", "https://a.test/dir/a.js"),
        ("<link rel=modulepreload href=/a.mjs>", "script-src-elem", "https://a.test/a.mjs"),
        ("<link rel=preload as=script href=/a.js>", "script-src-elem", "https://a.test/a.js"),
        ("<link rel='alternate stylesheet' href=/a.css>", "style-src-elem", "https://a.test/a.css"),
        ("<style>@import '/a.css'</style>", "style-src-elem", "https://a.test/a.css"),
        ("<style>@import url(/a.css)</style>", "style-src-elem", "https://a.test/a.css"),
        ("<style>@font-face{src:url(/a.woff)}</style>", "font-src", "https://a.test/a.woff"),
        ("<link rel=preload as=font href=/a.woff>", "font-src", "https://a.test/a.woff"),
        (
            "<style>@font-face{}p{background:url('/a.png')}</style>",
            "img-src",
            "https://a.test/a.png",
        ),
        ("<p style='background:url(/a.png)'>", "img-src", "https://a.test/a.png"),
        ("<img src=/a.png>", "img-src", "https://a.test/a.png"),
        ("<img srcset='/a.png 2x'>", "img-src", "https://a.test/a.png"),
        ("<picture><source srcset='/a.png 1x,'></picture>", "img-src", "https://a.test/a.png"),
        ("<img src='data:image/png;base64,AA'>", "img-src", "data:"),
        ("<link rel=icon href=/a.ico>", "img-src", "https://a.test/a.ico"),
        ("<video poster=/a.png></video>", "img-src", "https://a.test/a.png"),
        ("<input type=image src=/a.png>", "img-src", "https://a.test/a.png"),
        ("<svg><use href=/a.svg#b></use></svg>", "img-src", "https://a.test/a.svg"),
        ("<body background=/a.png>", "img-src", "https://a.test/a.png"),
        ("<audio><source src=/a.ogg></audio>", "media-src", "https://a.test/a.ogg"),
        ("<video src=/a.webm></video>", "media-src", "https://a.test/a.webm"),
        ("<iframe src=https://b.test/x></iframe>", "frame-src", "https://b.test/x"),
        ("<object data=/a.swf></object>", "object-src", "https://a.test/a.swf"),
        ("<embed src=/a.swf>", "object-src", "https://a.test/a.swf"),
        ("<form action=https://pay.test/></form>", "form-action", "https://pay.test/"),
        ("<button formaction=/b>", "form-action", "https://a.test/b"),
        ("<a ping=/p href=/x>", "connect-src", "https://a.test/p"),
        ("<link rel=preload as=fetch href=/a.json>", "connect-src", "https://a.test/a.json"),
        ("<link rel=manifest href=/a.json>", "manifest-src", "https://a.test/a.json"),
        ("<base href=https://b.test/>", "base-uri", "https://b.test/"),
    ],
)
def test_what_a_page_loads_is_found_by_directive(html: str, directive: str, url: str):
    """Scheme, host and path, as reports name them; no query."""
    page = read_page(html.encode(), "utf-8", "https://a.test/dir/page?token=secret")

    assert page.urls == ((directive, url),)


def test_addresses_are_relative_to_the_base():
    """The first base of the page holds for all that follows; the second is none."""
    html = b"<base href=//b.test/c/><base href=//d.test/><img src=e.png>"

    assert read_page(html, "", "https://a.test/").urls[-1] == ("img-src", "https://b.test/c/e.png")


def test_candidates_of_a_srcset():
    """Each candidate is one image, with or without a descriptor."""
    page = read_page(b"<img srcset='/a.png, /b,c.png 2x,/d.png 640w'>")

    assert [url for _, url in page.urls] == ["/a.png", "/b,c.png", "/d.png"]


@pytest.mark.parametrize(
    ("html", "charset"),
    [
        (b"<p onclick='\xe2\x82\xac'>", "utf-8"),
        (b"<p onclick='\x80'>", "iso-8859-1"),
        (b"<p onclick='\x80'>", "windows-1252"),
        (b"<meta charset=utf-8><p onclick='\xe2\x82\xac'>", ""),
        (b"<meta charset=utf-8><p onclick='\xe2\x82\xac'>", "no such thing"),
        (b"\xef\xbb\xbf<p onclick='\xe2\x82\xac'>", "iso-8859-1"),
        ("\ufeff<p onclick='\u20ac'>".encode("utf-16-le"), "utf-8"),
    ],
)
def test_the_text_is_decoded_as_browsers_do(html: bytes, charset: str):
    """Byte order mark, then header, then the page's own word; the hash is of UTF-8 whatever the
    page is in.
    """
    assert [piece.hash for piece in read_page(html, charset).inline] == [source("\u20ac")]


def test_a_piece_says_its_line_and_stands_once():
    """Lines count from 1; the same code again is the same piece."""
    page = read_page(b"<p>\n\n<script>a</script>\n<script>a</script><script>b</script>")

    assert [(piece.text, piece.line) for piece in page.inline] == [("a", 3), ("b", 4)]


def test_a_long_piece_is_cut_and_its_hash_is_not():
    """What is kept is bounded; what is allowed is the whole."""
    text = "a" * (MAX_TEXT + 1)
    (piece,) = read_page(f"<script>{text}</script>".encode()).inline

    assert (len(piece.text), piece.hash) == (MAX_TEXT, source(text))


def test_a_page_of_too_many_pieces_says_so():
    """Bounded whatever is served."""
    page = read_page(b"".join(b"<p onclick=%d>" % number for number in range(MAX_PIECES + 1)))

    assert (len(page.inline), page.complete) == (MAX_PIECES, False)
    assert read_page(b"<p onclick=1>").complete


@pytest.mark.parametrize(
    "word",
    ["<div>", "<b>", "<a><b><i><u><p>", "<template>", "<svg><desc>", "&a", "<!--", "<script>"],
)
def test_no_page_is_too_deep(word: str):
    """The worst that we know: 1 MiB of what nests, misnests or never ends."""
    assert read_page((word * (1_048_576 // len(word))).encode()).inline == ()


OPEN = "".join(f"<b id={number}>" for number in range(600))


@pytest.mark.parametrize(
    ("html", "complete"),
    [
        (OPEN + "<p>" * 9_000, False),
        (f"<iframe srcdoc='{OPEN}{'<p>' * 9_000}'></iframe>", False),
        ((OPEN + "<p>" * 9_000).encode("utf-16"), False),
        ("".join(f"<b id={number}><!--</b>--><p>" for number in range(9_000)), False),
        (OPEN, True),
        ("<font color=red><td>" * 9_000, True),
        (
            "".join(
                f'<p><i class="i{number}"></i><b id="b{number}"><i>a</i> b</b>'
                for number in range(9_000)
            ),
            True,
        ),
    ],
)
def test_no_page_swells(html: str | bytes, complete: bool):
    """A page that would become more than a million elements is not parsed: formatting left open
    is opened in each block.
    """
    data = html if isinstance(html, bytes) else html.encode()
    assert read_page(data).complete is complete


@pytest.mark.parametrize("word", ["<base href='/{}'><img src=a>", "<img src='/{}'>"])
def test_no_address_is_too_long(word: str):
    """Resolving an address costs the length of the page's base."""
    page = read_page(word.format("a/" * 2_000).encode(), address="https://a.test/")
    assert (len(page.urls), page.complete) == (word.count("a>"), False)


@given(st.binary(max_size=400), st.sampled_from(["", "utf-8", "shift_jis", "utf-16", "idna"]))
def test_any_bytes_are_a_page(html: bytes, charset: str):
    """No bytes and no charset raise."""
    read_page(html, charset, "https://a.test/")


WORDS = (
    "<script>",
    "</script>",
    "<style>",
    "</style>",
    "<svg>",
    "</svg>",
    "<template>",
    "</template>",
    "<p onclick='a'>",
    "}",
    "<img srcset='a, b'>",
    "<a href='javascript:a'>",
    "<base href='//['>",
    "<iframe srcdoc='<script>a</script>'>",
    "@import url(",
    "\x00",
)


@given(
    st.lists(
        st.sampled_from(WORDS),
        max_size=30,
    )
)
def test_any_order_of_tags_is_a_page(words: list[str]):
    """Whatever nests in whatever."""
    for piece in read_page("".join(words).encode()).inline:
        assert piece.hash == source(piece.text)
