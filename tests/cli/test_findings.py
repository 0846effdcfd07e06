"""`check` as a judge: what lint finds, in each format, and what it costs."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from tests.audit.test_reports import LEVEL, MESSAGE, TEXT, closed, listed
from tests.cli import data, sidecar

SOUND = """\
version: 1
rules:
  csp: {header: Content-Security-Policy, action: set, value: "default-src 'none'; report-uri /r", when: {class: api}}
"""  # noqa: E501
NOTED = SOUND.replace("'none'; report-uri /r", "'none'")
WARNED = (
    NOTED
    + "  frames: {header: X-Frame-Options, action: set, value: 'DENNY, 100%', when: {class: [html,"
    " docs]}}\n"
)
REFUSED = WARNED + "  cookie: {cookie: '__Secure-a', attributes: {Secure: false}}\n"
BROKEN = "version: 1\nmode: enfroce\n"

REGION = closed(
    "startLine startColumn",
    startLine={"type": "integer", "minimum": 1},
    startColumn={"type": "integer", "minimum": 1},
)
PLACE = closed(
    "physicalLocation",
    physicalLocation=closed(
        "artifactLocation region", artifactLocation=closed("uri", uri=TEXT), region=REGION
    ),
)
DESCRIBED = closed(
    "id shortDescription",
    id=TEXT,
    shortDescription=MESSAGE,
    fullDescription=MESSAGE,
    helpUri={"type": "string", "pattern": "^https://"},
)
RESULT = closed(
    "ruleId ruleIndex level message locations partialFingerprints",
    ruleId=TEXT,
    ruleIndex={"type": "integer"},
    level=LEVEL,
    message=MESSAGE,
    locations=listed(PLACE),
    partialFingerprints={"type": "object", "additionalProperties": TEXT},
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A policy file to be written."""
    return tmp_path / "policy.yaml"


@pytest.mark.parametrize(
    ("text", "lax", "strict"),
    [(SOUND, 0, 0), (NOTED, 0, 0), (WARNED, 0, 1), (REFUSED, 1, 1), (BROKEN, 1, 1)],
)
@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_warnings_count_only_when_strict(file: Path, text: str, lax: int, strict: int, form: str):
    """Exit 1 on errors, and with --strict on warnings; never on what is only good to know. The
    format changes nothing.
    """
    file.write_text(text)

    assert sidecar("check", file, "--format", form).exit_code == lax
    assert sidecar("check", file, "--format", form, "--strict").exit_code == strict


def test_text_shows_warnings_with_their_line_and_counts_the_notes(file: Path):
    """On stderr; notes are shown when asked for."""
    file.write_text(WARNED)
    data, noted = sidecar("check", file), sidecar("check", file, "--notes")
    line = WARNED.splitlines()[3]

    assert data.stdout == noted.stdout == ""
    first, excerpt, caret, hint, last = data.stderr.splitlines()
    assert (
        first
        == f"{file}:4:57: warning: rule 'frames': Browsers ignore the value DENNY, 100%; write one"
        " of: deny, sameorigin [header-invalid-value]"
    )
    assert hint == "why, with an example: sidecar check --explain header-invalid-value"
    assert (excerpt, caret) == (f"    {line}", f"    {' ' * 56}^")
    assert last.endswith("2 rules, 1 route, 1 warning, 1 note (--notes shows them)")
    assert (
        "info: rule 'csp': What the policy blocks is not reported; add report-uri and report-to"
        " [csp-no-reports]" in noted.stderr
    )


def test_json_holds_every_finding_with_its_code(file: Path):
    """`ok` means that it can be put in force; --json is short for the format."""
    file.write_text(WARNED)
    (given,) = data(sidecar("check", "--json", file))["files"]

    assert given["ok"] is True
    assert [
        (problem["code"], problem["severity"], problem["line"]) for problem in given["problems"]
    ] == [("csp-no-reports", "info", 3), ("header-invalid-value", "warning", 4)]
    assert data(sidecar("check", "--format", "json", file)) == data(
        sidecar("check", "--json", file)
    )
    file.write_text(REFUSED)
    (given,) = data(sidecar("check", "--json", file))["files"]
    assert (given["ok"], [problem["code"] for problem in given["problems"]]) == (
        False,
        ["cookie-refused"],
    )


def test_github_sees_annotations_that_text_cannot_break_out_of(file: Path):
    """Percent signs, colons and commas are escaped where they would end a property or message;
    infos only with --notes.
    """
    file.write_text(WARNED)
    (line,) = sidecar("check", "--format", "github", file).stdout.splitlines()

    assert (
        line == f"::warning file={file},line=4,col=57,title=header-invalid-value::rule 'frames':"
        " Browsers ignore the value DENNY, 100%25; write one of: deny, sameorigin"
    )
    assert sidecar("check", "--format", "github", "--notes", file).stdout.startswith(
        "::notice file="
    )
    odd = file.with_name("a,b:c.yaml")
    odd.write_text('version: 1\nmode: "x\\n::error::y"\n')
    (line,) = sidecar("check", "--format", "github", odd).stdout.splitlines()
    assert line.startswith(
        f"::error file={file.parent}/a%2Cb%3Ac.yaml,line=2,col=7,title=policy-refused::"
    )


@pytest.mark.parametrize("text", [SOUND, REFUSED, WARNED, BROKEN])
def test_sarif_has_the_specified_shape(file: Path, text: str):
    """Rules once each, every result with its rule, place and print; the run itself was
    successful.
    """
    file.write_text(text)
    (run,) = data(sidecar("check", "--format", "sarif", file))["runs"]
    driver = run["tool"]["driver"]

    jsonschema.Draft202012Validator({"type": "array", "items": RESULT}).validate(run["results"])
    jsonschema.Draft202012Validator({"type": "array", "items": DESCRIBED}).validate(driver["rules"])
    rules = [rule["id"] for rule in driver["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [
        result["ruleId"] for result in run["results"]
    ]
    assert len(set(rules)) == len(rules)
    assert run["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]


def test_a_finding_keeps_its_print_when_lines_are_added_above(file: Path):
    """A tracker can follow it over commits; two findings have two."""

    def prints(text: str) -> list[str]:
        file.write_text(text)
        return [
            result["partialFingerprints"]["finding/v1"]
            for result in data(sidecar("check", "--format", "sarif", file))["runs"][0]["results"]
        ]

    before = prints(WARNED)
    assert prints(f"# one more line\n{WARNED}") == before
    assert len(set(before)) == 2


def test_what_is_imported_is_not_refused(tmp_path: Path):
    """A value that would do harm as a rule is left out of the imported policy, and said so."""
    config, policy = tmp_path / "nginx.conf", tmp_path / "policy.yaml"
    config.write_text(
        'server { add_header X-A 1 always; add_header Content-Security-Policy "script-src'
        " 'nonce-abcdefgh'\" always; }\n"
    )
    imported = sidecar("import", config)
    policy.write_text(imported.stdout)

    assert "a nonce in a policy is the same in every response" in imported.stderr
    assert "X-A" in imported.stdout
    assert sidecar("check", policy).exit_code == 0


MANY = """\
version: 1
rules:
  csp: {header: Content-Security-Policy, action: set, value: "default-src self; img-src data; foo x; object-src *; script-src 'unsafe-inline'"}
  frames: {header: X-Frame-Options, action: set, value: DENNY}
"""  # noqa: E501


def test_the_gravest_come_first_and_one_rule_does_not_hide_the_others(file: Path):
    """Warnings before infos; three findings of one rule, the rest counted; --all shows every
    one.
    """
    file.write_text(MANY)
    reported = sidecar("check", file, "--notes").stderr
    severities = [
        line.split(": ")[1]
        for line in reported.splitlines()
        if line.startswith(f"{file}:") and "[" in line
    ]

    assert severities[0] == "warning"
    assert severities == sorted(severities, reverse=True)
    assert set(severities) == {"warning", "info"}
    assert reported.count(": warning: rule 'csp'") == 3
    assert ": warning: rule 'frames'" in reported
    assert "more on rule 'csp' (--all shows them)" in reported
    everything = sidecar("check", file, "--notes", "--all").stderr
    assert everything.count(": warning: rule 'csp'") > 3
    assert "--all" not in everything


def test_a_code_is_explained_with_example_fix_and_source():
    """On stdout, as text or JSON; an unknown code names the nearest and is a usage error."""
    reported = sidecar("check", "--explain", "csp-unquoted")

    assert reported.exit_code == 0
    assert "wrong   Content-Security-Policy: default-src self" in reported.stdout
    assert "write 'self'" in reported.stdout
    assert "right   Content-Security-Policy: default-src 'self'" in reported.stdout
    assert "section 2.3.1: https://www.w3.org/TR/CSP3/" in reported.stdout
    assert data(sidecar("check", "--explain", "csp-unquoted", "--json"))["severity"] == "warning"
    assert sidecar("check", "--explain", "csp-unquote").exit_code == 2
    assert "did you mean 'csp-unquoted'?" in sidecar("check", "--explain", "csp-unquote").stderr


def test_a_file_name_that_is_not_utf_8_is_reported(tmp_path: Path):
    """SARIF is ASCII: the byte is escaped."""
    file = tmp_path / "\udcff.yaml"
    file.write_text("version: 2\n")

    assert sidecar("check", file, "--format", "sarif").exit_code == 1
