"""Reports as text: golden files of one recorded pair of responses, and the shape of SARIF.

The golden files are made anew by `python -m tests.audit.test_reports`; read the difference before
committing it.
"""

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

import sidecar
from sidecar.audit.first_files import draft
from sidecar.audit.report import as_data, reaches, report, sarif
from sidecar.audit.visit import Visit, from_raw
from sidecar.cli import printing
from sidecar.cli.auditing import audit
from sidecar.source import load_policy
from tests.audit.visits import visit

GOLDEN = Path(__file__).parent / "golden"
FORMATS = {
    "table": "report.txt",
    "markdown": "report.md",
    "sarif": "report.sarif",
    "json": "report.json",
}


def printed(form):
    result = CliRunner().invoke(
        audit, ["--raw", str(GOLDEN / "responses.txt"), "http://shop.example/", "--format", form]
    )
    assert result.exception is None or result.exit_code == 1, result.output
    return result.stdout.replace(
        f'"semanticVersion": "{sidecar.__version__}"', '"semanticVersion": "0"'
    )


def recorded():
    return [
        report(seen)
        for seen in from_raw((GOLDEN / "responses.txt").read_bytes(), "http://shop.example/")
    ]


@pytest.fixture(autouse=True)
def _piped(monkeypatch):
    """Standard output is no terminal, whatever the tests run in."""
    monkeypatch.setattr(printing.os, "isatty", lambda _: False)
    for name in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("form", FORMATS)
def test_the_report_reads_as_it_did(form):
    """Each format of the recorded responses is, to the character, the golden file."""
    assert printed(form) == (GOLDEN / FORMATS[form]).read_text("utf-8")


def test_the_first_policy_reads_as_it_did_and_is_one():
    """The drafted policy is the golden file, loads, changes nothing, and says why above each
    rule.
    """
    text = draft(recorded())

    resolved = load_policy(text.encode(), "policy.yaml")

    assert text == (GOLDEN / "policy.yaml").read_text("utf-8")
    assert resolved.mode == "report-only"
    assert text.isascii()
    assert text.count("  # ") >= len(resolved.policy.rules)


@pytest.mark.parametrize("name", [*FORMATS.values(), "policy.yaml"])
def test_no_golden_file_holds_a_secret(name):
    """Cookie values, nonces and query strings of the recorded responses stand in no report."""
    assert "c2VjcmV0" in (GOLDEN / "responses.txt").read_text("utf-8")
    assert "c2VjcmV0" not in (GOLDEN / name).read_text("utf-8")


def closed(required, **properties):
    """The schema of an object that has these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def listed(items):
    return {"type": "array", "items": items}


TEXT = {"type": "string", "minLength": 1}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
MESSAGE = closed("text", text=TEXT)
RULE = closed(
    "id shortDescription",
    id=TEXT,
    shortDescription=MESSAGE,
    helpUri={"type": "string", "pattern": "^https://"},
)
PLACE = closed(
    "artifactLocation region",
    artifactLocation=closed("uri", uri={"type": "string", "pattern": "^https?://[!-~]+$"}),
    region=closed("startLine", startLine={"const": 1}),
)
LOCATION = closed(
    "physicalLocation logicalLocations",
    physicalLocation=PLACE,
    logicalLocations=listed(closed("name kind", name=TEXT, kind=TEXT)),
)
RESULT = closed(
    "ruleId ruleIndex level message locations partialFingerprints properties",
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=LEVEL,
    message=MESSAGE,
    locations=listed(LOCATION),
    partialFingerprints={"type": "object", "additionalProperties": TEXT},
    properties={"type": "object"},
)
NOTIFICATION = closed("level message", level=LEVEL, message=MESSAGE)
INVOCATION = closed(
    "executionSuccessful toolExecutionNotifications",
    executionSuccessful={"type": "boolean"},
    toolExecutionNotifications=listed(NOTIFICATION),
)
DRIVER = closed(
    "name semanticVersion informationUri rules",
    name=TEXT,
    semanticVersion=TEXT,
    informationUri=TEXT,
    rules=listed(RULE),
)
RUN = closed(
    "tool invocations results",
    tool=closed("driver", driver=DRIVER),
    invocations=listed(INVOCATION),
    results=listed(RESULT),
)
SARIF = closed(
    "$schema version runs",
    **{
        "$schema": TEXT,
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": RUN, "minItems": 1},
    },
)
"""The members of SARIF 2.1.0 that are used, as the specification types them; others would be a
mistake.
"""


@pytest.mark.parametrize(
    "reports",
    [
        recorded(),
        [],
        [report(visit())],
        [report(Visit("https://nobody.example/", notes=("no response",)))],
    ],
    ids=["findings", "no page", "no finding", "no response"],
)
def test_sarif_has_the_specified_shape(reports):
    """Only specified members stand where the specification has them, and every result leads to
    its rule.
    """
    made = json.loads(json.dumps(sarif(reports)))

    jsonschema.Draft202012Validator(SARIF).validate(made)

    (run,) = made["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [
        result["ruleId"] for result in run["results"]
    ]
    assert len(set(rules)) == len(rules)


def test_sarif_prints_stay_while_values_vary():
    """The same finding has the same print in two runs, two cookies have two, and a clean page
    has no result.
    """

    def prints(*changes):
        return [
            result["partialFingerprints"]["finding/v1"]
            for result in sarif([report(visit(*changes))])["runs"][0]["results"]
        ]

    assert prints(("Set-Cookie", "a=1")) == prints(("Set-Cookie", "a=2"))
    assert len({*prints(("Set-Cookie", ["a=1", "b=1"]))}) == 2
    assert prints() == []


LEVELS = [
    (("Content-Security-Policy", None), "error"),
    (("X-Content-Type-Options", None), "warning"),
    (("Cross-Origin-Opener-Policy", None), "note"),
    (("Cross-Origin-Opener-Policy", "unsafe-none"), "warning"),
    (("Server", "x"), "note"),
    (("Set-Cookie", "a=1; HttpOnly; SameSite=Lax"), "warning"),
    (("Set-Cookie", "sessionid=1; Secure"), "error"),
]


@pytest.mark.parametrize(("change", "level"), LEVELS, ids=[f"{change}" for change, _ in LEVELS])
def test_levels_follow_what_a_finding_costs(change, level):
    """Twenty points and more make an error, fewer a warning; what costs nothing is a warning
    when wrong, else a note.
    """
    made = report(visit(change))

    assert [made.level(row) for row in made.rows if row.verdict != "good"] == [level]


def test_a_page_is_scored_only_where_the_observatory_does():
    """Responses 2xx, 3xx, 401 and 403 have a grade; others, and none at all, have none and reach
    none.
    """
    graded = {
        status: report(visit(status=status)).grade for status in (200, 204, 302, 401, 403, 404, 500)
    }
    silent = report(Visit("https://nobody.example/x?secret=1"))

    assert [status for status, grade in graded.items() if grade is None] == [404, 500]
    assert reaches(report(visit()), "A+")
    assert not reaches(report(visit(status=500)), "F")
    assert not reaches(silent, "F")
    assert (silent.status, silent.rows, silent.url) == (None, (), "https://nobody.example/x")
    assert as_data(silent)["oshp"] is None


def test_preload_is_not_claimed():
    """A header that asks for preloading is noted as such; the score takes no list for granted."""
    notes = report(
        visit(("Strict-Transport-Security", "max-age=63072000; includeSubDomains; preload"))
    ).notes

    assert [note for note in notes if "--preloaded" in note]


def test_pages_share_one_policy():
    """Over several pages a header has one rule, leaking names stand in one, and cookies of like
    names have their own.
    """
    pages = [
        report(visit(("Server", "a"), ("Referrer-Policy", None), ("Set-Cookie", "a:b=1"))),
        report(
            visit(("X-Powered-By", "b"), ("Referrer-Policy", "origin"), ("Set-Cookie", "a/b=1"))
        ),
    ]

    rules = load_policy(draft(pages).encode(), "policy.yaml").policy.rules

    assert {name: rule.header or rule.cookie for name, rule in rules.items()} == {
        "referrer-policy": ("Referrer-Policy",),
        "cookie-a-b": "a:b",
        "cookie-a-b-2": "a/b",
        "disclosure": ("Server", "X-Powered-By"),
    }


def test_one_rule_responses_what_two_pages_lack():
    """Where one page lacks a header and another sends a bad one, the rule overwrites; a cookie's
    demands add up.
    """
    pages = [
        report(
            visit(
                ("X-Frame-Options", None),
                ("Content-Security-Policy", None),
                ("Set-Cookie", "a=1; Secure; SameSite=Lax"),
            )
        ),
        report(visit(("X-Frame-Options", "x"), ("Set-Cookie", "a=1; HttpOnly"))),
    ]

    rules = load_policy(draft(pages).encode(), "policy.yaml").policy.rules

    assert rules["frame-options"].action == "set"
    assert rules["cookie-a"].attributes.model_dump(by_alias=True, exclude_none=True) == {
        "Secure": True,
        "HttpOnly": True,
        "SameSite": "Lax",
    }


def test_a_clean_page_has_a_policy_without_rules():
    """Where nothing is wrong the draft is still a policy."""
    assert load_policy(draft([report(visit())]).encode(), "policy.yaml").policy.rules == {}


if __name__ == "__main__":
    for one, file in FORMATS.items():
        (GOLDEN / file).write_text(printed(one), "utf-8")
    (GOLDEN / "policy.yaml").write_text(draft(recorded()), "utf-8")


@pytest.mark.parametrize(
    ("size", "words"),
    [(3000, ""), (5000, "small buffers"), (9000, "many proxies"), (17000, "most servers")],
)
def test_header_lines_that_are_too_long_are_noted(size: int, words: str):
    """What all lines of the response come to, not one of them."""
    notes = report(visit(("X-A", "a" * (size // 2)), ("X-B", "b" * (size // 2)))).notes

    assert (
        any(words in note for note in notes)
        if words
        else not any("add up" in note for note in notes)
    )
