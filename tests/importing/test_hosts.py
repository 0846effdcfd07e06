"""Virtual servers by host name: which names are said, which of two with one name is carried."""

from __future__ import annotations

import pytest

from sidecar.importing.draft import HeaderEffect, Notes, SourceLine
from sidecar.importing.hosts import VirtualServer, by_host, host_patterns, one_per_name
from sidecar.importing.syntax import ConfigDirective


def site(
    line: int, *names: str, tls: bool | None = None, plain: bool = False, default: bool = False
) -> VirtualServer:
    return VirtualServer(
        names,
        ConfigDirective("server", (), SourceLine("f", line), ()),
        tls,
        plain=plain,
        default=default,
    )


def reported(sites: list[VirtualServer]) -> list[tuple[tuple[str, ...], int, str]]:
    return [(one.names, one.item.where.line, one.scheme) for one in sites]


@pytest.mark.parametrize(
    ("sites", "expected", "lost"),
    [
        ([site(1, "a"), site(2, "b")], [(("a",), 1, ""), (("b",), 2, "")], 0),
        ([site(1, "a", tls=False, plain=True), site(2, "a", tls=True)], [(("a",), 2, "https")], 0),
        ([site(1, "a", tls=True), site(2, "a", tls=False, plain=True)], [(("a",), 1, "https")], 0),
        ([site(1, "a", tls=False), site(2, "a", tls=True, plain=True)], [(("a",), 1, "http")], 0),
        ([site(1, "a", plain=True), site(2, "a")], [(("a",), 2, "")], 0),
        ([site(1, "a"), site(2, "a")], [(("a",), 1, "")], 1),
        ([site(1, "a"), site(2, "a", "b")], [(("a",), 1, ""), (("b",), 2, "")], 1),
        ([site(1, "a", "b", plain=True), site(2, "a")], [(("a",), 2, ""), (("b",), 1, "")], 0),
        ([site(1), site(2)], [((), 1, "")], 1),
    ],
)
def test_one_per_name(
    sites: list[VirtualServer], expected: list[tuple[tuple[str, ...], int, str]], lost: int
) -> None:
    """Each name is left with one site: the one that does something, conditioned where the other
    speaks another scheme.
    """
    notes = Notes()
    assert reported(one_per_name(sites, notes)) == expected
    assert len(notes.reported()) == lost


def test_default_is_last() -> None:
    """The marked site, or the first, is for all other hosts and stands last without hosts."""
    sites = [site(1, "a"), site(2, "b", default=True)]
    assert [(hosts, one.item.where.line) for hosts, one in by_host(sites, in_order=True)] == [
        (("a",), 1),
        ((), 2),
    ]
    assert [(hosts, one.item.where.line) for hosts, one in by_host(sites[:1], in_order=True)] == [
        ((), 1)
    ]


def test_host_patterns() -> None:
    """Names with a leading dot are two patterns; what is no pattern is reported."""
    notes = Notes()
    assert host_patterns(["a.b", ".c", "_", "", "~^x", "d.*"], SourceLine("f", 3), notes) == (
        "a.b",
        "c",
        "*.c",
        "d.*",
    )
    assert [(note.line, note.message) for note in notes.reported()] == [
        (3, "no host pattern expresses '~^x'")
    ]


def test_scheme_is_the_first_condition() -> None:
    """A site on one scheme puts the condition before those that its effects have."""
    effect = HeaderEffect("set", "X-A", "1", (("status", ("200",)),))
    assert [one.when for one in site(1, "a").on_scheme((effect,))] == [effect.when]
    http = VirtualServer(("a",), site(1).item, scheme="http")
    assert [one.when for one in http.on_scheme((effect,))] == [
        (("scheme", "http"), ("status", ("200",)))
    ]
