"""The controls of OWASP ASVS 5.0, V3.4: each outcome of each, what is quoted, and the formats."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sidecar.audit.asvs import controls, markdown, sarif
from sidecar.audit.visit import Visit
from sidecar.cli.auditing import audit
from sidecar.observed import ObservedResponse
from tests.audit.visits import GOOD, URL, fields, visit

CSP = "Content-Security-Policy"
HSTS = "Strict-Transport-Security"
STRICT = (
    "script-src 'nonce-abc' 'strict-dynamic'; object-src 'none'; base-uri 'none'; frame-ancestors"
    " 'self'; report-to csp"
)
FOREIGN = "https://foreign.example"


def outcome(control, page, level=3):
    """The outcome of one control."""
    return next(one.outcome for one in controls(page, level) if one.control == control)


def probed(value):
    """A good page whose preflight from a foreign origin was answered with this
    Access-Control-Allow-Origin.
    """
    lines = [] if value is None else [("Access-Control-Allow-Origin", value)]
    return visit(probe=ObservedResponse(URL, 204, fields(lines)), origin=FOREIGN)


@pytest.mark.parametrize(
    ("control", "changes", "level", "expected"),
    [
        ("V3.4.1", {}, 3, "pass"),
        ("V3.4.1", {HSTS: "max-age=31536000"}, 1, "pass"),
        ("V3.4.1", {HSTS: "max-age=31536000"}, 2, "fail"),
        ("V3.4.1", {HSTS: "max-age=31535999; includeSubDomains"}, 1, "fail"),
        ("V3.4.1", {HSTS: "a year"}, 1, "fail"),
        ("V3.4.1", {HSTS: ["max-age=0", "max-age=31536000; includeSubDomains"]}, 1, "fail"),
        ("V3.4.1", {HSTS: None}, 1, "fail"),
        ("V3.4.2", {}, 3, "not seen"),
        ("V3.4.2", {"Access-Control-Allow-Origin": "*"}, 3, "review"),
        ("V3.4.2", {"Access-Control-Allow-Origin": "null"}, 3, "fail"),
        ("V3.4.3", {CSP: STRICT}, 3, "pass"),
        ("V3.4.3", {CSP: "script-src 'self'; object-src 'none'; base-uri 'none'"}, 2, "pass"),
        ("V3.4.3", {CSP: "script-src 'self'; object-src 'none'; base-uri 'none'"}, 3, "fail"),
        ("V3.4.3", {CSP: "default-src 'none'; base-uri 'none'"}, 3, "pass"),
        ("V3.4.3", {CSP: "default-src 'none'"}, 2, "fail"),
        ("V3.4.3", {CSP: "object-src 'none'; base-uri 'none'"}, 2, "fail"),
        (
            "V3.4.3",
            {CSP: "script-src 'unsafe-inline'; object-src 'none'; base-uri 'none'"},
            2,
            "fail",
        ),
        ("V3.4.3", {CSP: "script-src https:; object-src 'none'; base-uri 'none'"}, 2, "fail"),
        ("V3.4.3", {CSP: None, f"{CSP}-Report-Only": STRICT}, 2, "fail"),
        ("V3.4.4", {}, 3, "pass"),
        ("V3.4.4", {"X-Content-Type-Options": None}, 3, "fail"),
        ("V3.4.4", {"X-Content-Type-Options": "sniff"}, 3, "fail"),
        ("V3.4.5", {}, 3, "pass"),
        ("V3.4.5", {"Referrer-Policy": "no-referrer, unsafe-url"}, 3, "fail"),
        ("V3.4.5", {"Referrer-Policy": "no-referrer-when-downgrade"}, 3, "fail"),
        ("V3.4.5", {"Referrer-Policy": "strict-origin-when-cross-origin"}, 3, "pass"),
        ("V3.4.5", {"Referrer-Policy": None}, 3, "fail"),
        ("V3.4.6", {}, 3, "pass"),
        ("V3.4.6", {CSP: "default-src 'self'"}, 3, "fail"),
        ("V3.4.6", {CSP: "frame-ancestors *"}, 3, "fail"),
        ("V3.4.6", {CSP: "frame-ancestors https://a.example"}, 3, "pass"),
        ("V3.4.7", {}, 3, "fail"),
        ("V3.4.7", {CSP: "default-src 'self'; report-uri /csp"}, 3, "pass"),
        ("V3.4.7", {CSP: STRICT}, 3, "fail"),
        ("V3.4.7", {CSP: STRICT, "Reporting-Endpoints": 'csp="https://a.example/r"'}, 3, "pass"),
        ("V3.4.7", {CSP: STRICT, "Reporting-Endpoints": 'other="https://a.example/r"'}, 3, "fail"),
        ("V3.4.8", {}, 3, "pass"),
        ("V3.4.8", {"Cross-Origin-Opener-Policy": "same-origin-allow-popups"}, 3, "pass"),
        ("V3.4.8", {"Cross-Origin-Opener-Policy": "unsafe-none"}, 3, "fail"),
        ("V3.4.8", {"Content-Type": "application/json"}, 3, "not seen"),
    ],
)
def test_a_control_has_the_outcome_that_the_standard_gives_it(control, changes, level, expected):
    """A good page with these lines changed."""
    assert outcome(control, visit(*changes.items()), level) == expected


def test_a_policy_that_is_not_there_is_not_judged_for_what_it_says():
    """Both controls of the policy say that none is sent."""
    found = [one for one in controls(visit((CSP, None)), 3) if one.control in ("V3.4.3", "V3.4.7")]

    assert [one.why for one in found] == ["No Content-Security-Policy is sent as a header."] * 2


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (None, "pass"),
        ("https://known.example", "pass"),
        (FOREIGN, "fail"),
        ("null", "fail"),
        ("*", "review"),
    ],
)
def test_leave_to_read_is_judged_by_what_a_foreign_origin_was_given(allowed, expected):
    """A fixed origin is fine, an echoed one is not, and of `*` a person has to say what it
    opens.
    """
    assert outcome("V3.4.2", probed(allowed)) == expected


def test_a_referrer_policy_of_the_page_counts():
    """A meta element sets the policy as the header does."""
    page = visit(("Referrer-Policy", None), body=b"<meta name=referrer content=same-origin>")

    assert outcome("V3.4.5", page) == "pass"


def test_one_bare_response_of_the_host_fails_what_is_asked_of_all():
    """A robots.txt without the lines fails the page, and is what is quoted."""
    bare = ObservedResponse(
        "https://shop.example/robots.txt", 200, fields([("Content-Type", "text/plain")])
    )
    found = {one.control: one for one in controls(replace(visit(), others=(bare,)))}

    assert [
        (one.outcome, one.proof[0].url)
        for name in ("V3.4.1", "V3.4.4", "V3.4.6")
        for one in [found[name]]
    ] == [("fail", bare.url)] * 3


def test_a_response_of_another_host_is_not_judged():
    """What a redirect of another host sends is not this application's."""
    away = ObservedResponse("https://login.example/", 302, fields([("Location", URL)]))
    page = visit()

    assert outcome("V3.4.4", replace(page, https=(away, *page.https))) == "pass"


def test_over_plain_http_hsts_is_not_seen():
    """Browsers ignore the header there, so neither its presence nor its absence says anything."""
    page = Visit(
        "http://a.example/", http=(ObservedResponse("http://a.example/", 200, fields(GOOD)),)
    )

    assert outcome("V3.4.1", page) == "not seen"


@pytest.mark.parametrize(("level", "count"), [(1, 2), (2, 6), (3, 8)])
def test_a_level_has_its_own_controls_and_those_below(level, count):
    """Two, four and two more."""
    assert len(controls(visit(), level)) == count


def test_the_proof_is_a_line_of_the_response_without_its_secrets():
    """The quoted policy shows no nonce."""
    found = controls(visit((CSP, STRICT)))

    lines = [proof.line for one in found for proof in one.proof if proof.line.startswith(f"{CSP}:")]
    assert lines and not any("nonce-abc" in line for line in lines)


@given(
    st.lists(
        st.tuples(st.sampled_from([name for name, _ in GOOD]), st.text(max_size=30)), max_size=6
    )
)
def test_any_lines_have_eight_outcomes(pairs):
    """Law: nothing that a response holds raises, and each control is judged."""
    page = ObservedResponse(
        URL, 200, fields((name, value.encode().decode("latin-1")) for name, value in pairs)
    )

    assert len(controls(Visit(URL, (page,)))) == 8


def test_sarif_is_tagged_with_the_control():
    """One result for each control that did not pass."""
    pages = [(page, controls(page)) for page in [visit((HSTS, None))]]
    found = sarif(pages)["runs"][0]

    assert {one["ruleId"] for one in found["results"]} == {
        f"asvs-5.0/{one.control}" for one in pages[0][1] if one.outcome != "pass"
    }
    assert all(
        "owasp-asvs-5.0" in rule["properties"]["tags"] for rule in found["tool"]["driver"]["rules"]
    )


def test_hostile_values_are_no_markup():
    """Neither a bar nor an angle bracket of a value ends its cell."""
    page = visit((CSP, "default-src 'self' |<script>"))

    assert " |<script>" not in markdown([(page, controls(page))])


RAW = Path(__file__).parent / "golden" / "responses.txt"


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (["--profile", "asvs-5.0", "--json"], 1, '"control": "V3.4.8"'),
        (["--profile", "asvs-5.0", "--format", "markdown"], 1, "| V3.4.1 | 1 |"),
        (["--profile", "asvs-5.0"], 1, "Each result is about the responses that it quotes"),
        (["--profile", "asvs-5.0", "--min-grade", "A"], 2, "leave out --min-grade"),
        (["--profile", "asvs-4.0"], 2, "asvs-5.0"),
    ],
)
def test_the_verb_prints_the_controls(argv, status, words):
    """Each format, and the mistakes that can be made."""
    result = CliRunner().invoke(audit, ["--raw", str(RAW), "https://shop.example/", *argv])

    assert (result.exit_code, words in result.output) == (status, True), result.output
