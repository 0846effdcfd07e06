"""`headers`: what is known, for people and machines, from the one table."""

from __future__ import annotations

import typing

import pytest

from sidecar.cli.policy import GRAMMARS, REPEATS, SCOPES
from sidecar.policy.headers import MERGEABLE
from sidecar.policy.headers.table import ALL, Grammar, Repeats, Scope
from tests.cli import data, sidecar


def test_every_header_of_the_table_is_listed():
    """A line each for people, an object each for machines."""
    given, listed = sidecar("headers"), data(sidecar("headers", "--json"))

    assert (given.exit_code, given.stderr) == (0, "")
    assert {row.name for row in ALL} <= set(given.stdout.split())
    assert [one["name"] for one in listed] == [row.name for row in ALL]


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_all_that_is_known_of_a_header_is_reported(row):
    """Whatever the case of the name; nothing of the row is left out."""
    given, known = (
        sidecar("headers", row.name.upper()),
        data(sidecar("headers", row.name.lower(), "--json")),
    )
    text = " ".join(given.stdout.split())

    assert (given.exit_code, given.stderr) == (0, "")
    for part in (
        row.name,
        row.purpose,
        row.breaks,
        row.report_only or "",
        row.spec,
        GRAMMARS[row.grammar],
        SCOPES[row.scope],
        REPEATS[row.repeats],
        *(why for _, why in row.weak),
    ):
        assert "".join(part.split()) in "".join(text.split())
    assert (known["strong"], known["report_only"], known["merge"]) == (
        row.strong,
        row.report_only,
        row.key in MERGEABLE,
    )
    assert known["values"] == list(row.tokens) or (row.grammar, known["values"][0]) == (
        "referrer",
        "no-referrer",
    )
    assert "{" not in str(known["judged"]).replace("{'code'", "")


def test_what_is_judged_in_a_value_is_told_by_its_code():
    """The codes of lint and of violations can be looked up."""
    known = data(sidecar("headers", "content-security-policy", "--json"))["judged"]

    assert {"csp-unsafe-inline", "csp-angular-host", "csp-missing-semicolon"} <= {
        one["code"] for one in known
    }
    assert "hsts-short" in sidecar("headers", "Strict-Transport-Security").stdout


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "Strict-Transport-Securty",
            "unknown header 'Strict-Transport-Securty'; did you mean 'Strict-Transport-Security'?",
        ),
        ("zzz", "unknown header 'zzz'; see: sidecar headers"),
        ("X-Varnish-Server", "X-Varnish-Server is on OWASP's list of headers to remove"),
    ],
)
def test_an_unknown_header_leads_on(name: str, text: str):
    """Exit 2, with the nearest name or what is known nevertheless."""
    result = sidecar("headers", name)

    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "texts"), [(Grammar, GRAMMARS), (Scope, SCOPES), (Repeats, REPEATS)]
)
def test_every_word_of_the_table_is_explained(words, texts):
    """No word is shown that people would have to guess."""
    assert set(typing.get_args(words)) == set(texts)


@pytest.mark.parametrize(
    ("short", "name"),
    [("csp", "Content-Security-Policy"), ("HSTS", "Strict-Transport-Security")],
)
def test_a_header_has_its_common_short_name(short: str, name: str):
    """Rules are often called so."""
    assert sidecar("headers", short).stdout == sidecar("headers", name).stdout
