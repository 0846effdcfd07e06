"""The HTML pass: what it finds, and that hostile text costs no more than its length."""

import pytest

from sidecar.audit.observatory_parts import same_site
from sidecar.audit.visit import MAX_BODY, PageMarkup, ScriptElement, read_page
from tests.portion import FULL


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        ("<script src=/a.js></script>", [ScriptElement("/a.js", False)]),
        (
            "<SCRIPT defer SRC = '//b/c.js' integrity=\"sha384-x\" >",
            [ScriptElement("//b/c.js", True)],
        ),
        (
            "<script>var s = '<script src=x></scr' + 'ipt>'</script><script src=y></script>",
            [ScriptElement("", False), ScriptElement("y", False)],
        ),
        ("<!-- <script src=x></script> --><script src=y></script>", [ScriptElement("y", False)]),
        ("<!--><script src=y></script>", [ScriptElement("y", False)]),
        ("<style></style ><textarea><script src=x></textarea>", []),
        ("<script src='a&amp;b' src=c></script>", [ScriptElement("a&b", False)]),
        ("<script src=x", []),
        ("<!-- <script src=x></script>", []),
        ("<?php <script ?><p title='>'><script src=y>", [ScriptElement("y", False)]),
        ("<scripts src=x><script/src=y>", [ScriptElement("y", False)]),
        ("<script integrity=' ' src=y>", [ScriptElement("y", False)]),
    ],
)
def test_scripts_are_found_as_browsers_find_them(text, scripts):
    """Comments, text of scripts, quotes and broken tags are read as the HTML standard does."""
    assert tuple(scripts) == read_page(text.encode()).scripts


def test_meta_policies_are_found():
    """Every policy and the last referrer policy, with character references resolved; other metas
    are passed over.
    """
    text = b"""<meta charset=utf-8><meta http-equiv=" Content-Security-Policy " content="default-src &#39;self&#39;">
    <meta content='img-src *' http-equiv=content-security-policy><meta http-equiv=refresh content=1><meta name=referrer content=origin><meta NAME=Referrer content=no-referrer>"""  # noqa: E501

    assert PageMarkup((), ("default-src 'self'", "img-src *"), "no-referrer") == read_page(text)


HOSTILE = [
    "<a",
    "<!",
    "<!--",
    "<!-- --",
    "</",
    "<?",
    "<",
    "<a x='",
    "<a x='\"",
    "<script",
    "<script>",
    "<script></script",
    "<a " + "b" * 50 + "=",
    "<a\t",
    "<style><title>",
    "&amp",
    "<a b= ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_is_read(piece):
    """Two mebibytes of any repeated piece are read, by default a quarter of that; work that grows
    with the square of the length would take hours.
    """
    size = MAX_BODY if FULL else MAX_BODY // 4
    text = (piece * (size // len(piece))).encode()

    read_page(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("shop.example", "shop.example", True),
        ("www.shop.example", "cdn.shop.example", True),
        ("shop.example", "other.example", False),
        ("a.shop.co.uk", "shop.co.uk", True),
        ("one.co.uk", "two.co.uk", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("10.0.0.1", "10.1.0.1", False),
        ("::1", "::2", False),
        ("localhost", "localhost", True),
        ("localhost", "intranet", False),
        ("", "", True),
    ],
)
def test_one_site_is_one_registered_domain(one, other, same):
    """Hosts of one registered domain are one site; addresses and single names only with
    themselves.
    """
    assert same is same_site(one, other)
    assert same is same_site(other, one)
