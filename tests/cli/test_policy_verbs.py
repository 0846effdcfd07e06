"""check, explain, schema and presets: what they print, where, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sidecar.source import load_policy, preset_texts
from tests.cli import data, sidecar

GOOD = """\
version: 1
name: shop
mode: enforce
rules:
  frames: {header: X-Frame-Options, action: set, value: DENY}
  no-server: {header: [Server, X-Powered-By], action: remove, mode: report-only}
  html: {header: Referrer-Policy, action: default, value: no-referrer, when: {content-type: text/html}}
  off: {header: X-Odd, action: require, mode: off}
routes:
  - {name: api, match: {path: /api/**}, rules: {frames: {value: SAMEORIGIN}}}
"""  # noqa: E501
BAD = "version: 1\nmode: enfroce\nrules:\n  a: {header: A, action: sett}\n"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A policy that can be put in force."""
    file = tmp_path / "good[1].yaml"  # a name that must not be taken for markup
    file.write_text(GOOD)
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A policy with two problems."""
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    return file


def test_check_says_ok_on_stderr(good: Path):
    """Exit 0, the last line says what would be in force, nothing on stdout."""
    result = sidecar("check", good)
    revision = load_policy(GOOD.encode(), "").revision()

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines()[-1].startswith(
        f"{good}: ok: revision {revision}, mode enforce, 4 rules, 2 routes"
    )


def test_check_says_every_problem_with_its_line(bad: Path):
    """Exit 1; the source line stands below with a caret under the place."""
    result = sidecar("check", bad)

    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        result.stderr
        == f"{bad}:2:7: error: unknown mode 'enfroce'; did you mean 'enforce'?\n    mode: enfroce\n"
        f"          ^\n{bad}:4:26: error: unknown action 'sett'; did you mean 'set'?\n      a:"
        " {header: A, action: sett}\n                             ^\nnext: correct it, then:"
        f" sidecar check {bad}\n"
    )


def test_check_for_machines(good: Path, bad: Path):
    """One document for all files; stderr stays silent; exit 1 as soon as one is wrong."""
    result = sidecar("check", "--json", good, bad)
    right, wrong = data(result)["files"]

    assert (result.exit_code, result.stderr) == (1, "")
    assert (
        right.items()
        >= {
            "file": str(good),
            "ok": True,
            "revision": load_policy(GOOD.encode(), "").revision(),
            "mode": "enforce",
            "rules": ["frames", "html", "no-server", "off"],
            "routes": 2,
        }.items()
    )
    assert not [problem for problem in right["problems"] if problem["severity"] == "error"]
    assert (wrong["file"], wrong["ok"]) == (str(bad), False)
    assert (
        wrong["problems"][0].items()
        >= {
            "file": str(bad),
            "line": 2,
            "column": 7,
            "severity": "error",
            "message": "unknown mode 'enfroce'",
            "fix": "did you mean 'enforce'?",
        }.items()
    )
    assert sidecar("check", "--json", good).exit_code == 0


def test_check_reads_stdin():
    """`-` is the file; its problems are named so."""
    assert sidecar("check", "-", given=GOOD).exit_code == 0
    result = sidecar("check", "-", given=BAD)
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        1,
        "-:2:7: error: unknown mode 'enfroce'; did you mean 'enforce'?",
    )


def test_check_takes_the_settings_too(good: Path, tmp_path: Path):
    """Their problems have places as well."""
    config = tmp_path / "sidecar.yaml"
    config.write_text("listen: 127.0.0.1:1\n")
    assert sidecar("check", good, "--config", config).exit_code == 0
    config.write_text("timeouts:\n  header: soon\n")
    result = sidecar("check", good, "--config", config)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        (
            f"{config}:2:11: error: unknown duration 'soon'; write a number with ms, s, m, h or d,"
            " as 500ms"
        ),
        f"next: correct {config}, and run again: sidecar check",
    ]
    config.write_text("timeouts:\n  routes: {appi: {response: 1s}}\n")
    result = sidecar("check", good, "--config", config)
    assert result.exit_code == 0
    assert (
        f"{config}: warning: timeouts.routes: {good} has no route 'appi'; did you mean 'api'?"
        in result.stderr
    )
    config.write_text("- a\n")
    assert sidecar("check", good, "--config", config).exit_code == 1
    assert "cannot be read" in sidecar("check", good, "--config", tmp_path / "none.yaml").stderr


def test_hostile_text_cannot_steer_a_terminal(tmp_path: Path):
    """Control characters of a file are spelled out in what is printed of it."""
    file = tmp_path / "bad.yaml"
    file.write_bytes(b'version: 1\nmode: "\\e[31m"\n')
    assert "\x1b" not in sidecar("check", file).stderr
    file.write_bytes(b"version: 1\n\x1b[2J: 1\n")
    assert "\x1b" not in sidecar("check", file).stderr
    file.write_text(GOOD)
    result = sidecar("explain", "--policy", file, "-H", "X-A: \x1b[31mred")
    assert "\x1b" not in result.stdout
    assert "\\x1b[31mred" in result.stdout


HTML = ("-H", "Content-Type: text/html", "-H", "server: gunicorn", "-H", "X-Frame-Options: ALLOW")


def test_explain_shows_each_rule_and_the_response_that_leaves(good: Path):
    """For people: a table in the order of judging, then the lines, changed ones marked."""
    result = sidecar("explain", "--policy", good, *HTML)
    lines = [line.rstrip() for line in result.stdout.splitlines()]

    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[0].startswith("route default   mode enforce")
    assert [line.split()[0] for line in lines[4:8]] == ["frames", "no-server", "html", "off"]
    assert lines[lines.index("Response that leaves") + 1 :] == [
        "  Content-Type: text/html",
        "  server: gunicorn",
        "+ X-Frame-Options: DENY",
        "+ Referrer-Policy: no-referrer",
        "- X-Frame-Options: ALLOW",
    ]


def test_explain_for_machines(good: Path):
    """Everything that the table says, as data."""
    given = data(
        sidecar(
            "explain", "--json", "--policy", good, "--path", "/api/x?token=1", "-H", "Server: a"
        )
    )

    assert (given["route"], given["mode"]) == ("api", "enforce")
    assert given["before"] == [["Server", "a"]]
    assert given["after"] == [["Server", "a"], ["X-Frame-Options", "SAMEORIGIN"]]
    frames, server, html, off = given["steps"]
    assert [witness["kind"] for witness in frames.pop("witnesses")] == ["proxy"]
    assert frames == {
        "rule": "frames",
        "header": "X-Frame-Options",
        "mode": "enforce",
        "ceiling": "policy",
        "origin": "policy, route api",
        "applies": True,
        "reason": "it is absent",
        "finding": {
            "kind": "missing",
            "action": "set",
            "made": True,
            "before": [],
            "after": ["SAMEORIGIN"],
        },
    }
    assert (server["finding"]["made"], server["finding"]["after"], server["ceiling"]) == (
        False,
        [],
        "rule",
    )
    assert (html["applies"], html["reason"], html["finding"]) == (
        False,
        "applies only where content type is text/html",
        None,
    )
    assert (off["applies"], off["reason"]) == (False, "off (rule)")


def test_explain_shows_the_reading_of_the_path_that_counts(good: Path):
    """And the routes of the other readings, as the file's strictness decides between them."""
    given = data(sidecar("explain", "--json", "--policy", good, "--path", "/%61pi/x"))
    shown = sidecar("explain", "--policy", good, "--path", "//api/[x]")

    assert (given["path"], given["route"]) == ("/api/x", "api")
    assert given["readings"] == [{"path": "/api/x", "route": "api"}]
    assert "path //api/[x]" in shown.stdout
    assert "also read as /api/[x]: route api" in shown.stdout


def test_explain_under_a_supposed_override(good: Path):
    """What the operator's order would do."""
    given = data(sidecar("explain", "--json", "--policy", good, "--override", "report-only"))

    assert (given["mode"], given["after"]) == ("report-only", [])
    assert given["steps"][0]["ceiling"] == "override"


@pytest.mark.parametrize(
    ("response", "status", "fields"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nX-A: b:c\r\n\r\n<p>\r\n\r\nX: y",
            "4xx",
            [["Content-Type", "text/html"], ["X-A", "b:c"]],
        ),
        (b"HTTP/2 404\nx-a:\xff\n\n", "4xx", [["x-a", "\xff"]]),
        (
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1"
                b" 204 \r\nA: b\r\n\r\n"
            ),
            "2xx",
            [["A", "b"]],
        ),
    ],
)
def test_explain_reads_what_curl_prints(
    tmp_path: Path, response: bytes, status: str, fields: list[list[str]]
):
    """The last head counts, not interim responses; bytes stay what they are."""
    file = tmp_path / "policy.yaml"
    file.write_text(
        "version: 1\nmode: enforce\nrules: {it: {header: X-New, action: set, value: '1', when:"
        f" {{status: {status}}}}}}}\n"
    )
    parsed = data(sidecar("explain", "--json", "--policy", file, "--response", "-", given=response))

    assert parsed["before"] == fields
    assert parsed["after"] == [*fields, ["X-New", "1"]]


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"not http\n\n",
        b"HTTP/1.1 abc\n\n",
        b"HTTP/1.1 20000\n\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\nno colon\n\n",
    ],
)
def test_explain_refuses_what_is_no_response(good: Path, response: bytes):
    """It says how to get one."""
    assert sidecar("explain", "--policy", good, "--response", "-", given=response).exit_code == 2


def test_explain_knows_the_request(tmp_path: Path):
    """Host, method, scheme and headers choose the route and meet the conditions."""
    file = tmp_path / "policy.yaml"
    rule = (
        "{header: X-New, action: set, value: '1', when: {scheme: http, request: {Accept:"
        " '*json*'}}}"
    )
    file.write_text(
        "version: 1\nroutes: [{name: it, match: {host: a.example, method: POST}, rules: {it:"
        f" {rule}}}}}]\n"
    )
    words = (
        "explain",
        "--json",
        "--policy",
        file,
        "--host",
        "A.example:80",
        "--method",
        "POST",
        "--scheme",
        "http",
        "--request-header",
        "accept: application/json",
    )
    given = data(sidecar(*words))

    assert (given["route"], given["steps"][0]["finding"]["kind"]) == ("it", "missing")
    assert data(sidecar(*words, "--method", "GET"))["route"] == "default"


def test_schema_is_printed_for_editors():
    """A document that validates policies."""
    result = sidecar("schema")

    Draft202012Validator.check_schema(data(result))
    assert Draft202012Validator(data(result)).is_valid({"version": 1})
    assert (result.exit_code, result.stderr) == (0, "")


def test_presets_are_listed_and_printed():
    """The list for people and machines; one as it is written, byte for byte."""
    listed = data(sidecar("presets", "--json"))

    assert {preset["name"] for preset in listed} == set(preset_texts())
    assert all(preset["rules"] and preset["about"] for preset in listed)
    assert "oshp-2026-07" in sidecar("presets").stdout
    assert sidecar("presets", "oshp-2026-07").stdout == preset_texts()["oshp-2026-07"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("check",), 2, "name a policy file: sidecar check policy.yaml"),
        (("check", "nowhere.yaml"), 2, "nowhere.yaml: No such file or directory"),
        (("check", "."), 2, "Is a directory"),
        (("check", "-"), 1, "-:1:1: error: a policy is a mapping; start with: version: 1"),
        (("explain", "--policy", "nowhere.yaml"), 2, "nowhere.yaml"),
        (
            ("explain", "--policy", "-", "-H", "no-colon"),
            2,
            "unknown header 'no-colon'; write NAME:VALUE",
        ),
        (("explain", "--policy", "-", "-H", ": no name"), 2, "write NAME:VALUE"),
        (("explain", "--policy", "-"), 1, "a policy is a mapping"),
        (("explain", "--status", "1000"), 2, "100<=x<=599"),
        (("explain", "--path", "api"), 2, "unknown path 'api'; write it with '/' first"),
        (("explain", "--method", "get"), 2, "unknown method 'get'; write GET"),
        (("explain", "--override", "loud"), 2, "'loud' is not one of"),
        (("presets", "nowhere"), 2, "unknown preset 'nowhere'; known: "),
        (("schema", "--jsn"), 2, "No such option"),
        (("nowhere",), 2, "No such command"),
        ((), 2, "Usage: sidecar"),
    ],
)
def test_exit_codes(words: tuple[str, ...], code: int, said: str):
    """0 fine, 1 findings or refused, 2 usage; what went wrong is on stderr."""
    result = sidecar(*words, given="")

    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr


def test_colours_follow_the_environment(bad: Path, monkeypatch: pytest.MonkeyPatch):
    """A terminal gets them, NO_COLOR takes them away, a pipe never sees them."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = sidecar("check", bad, env={"NO_COLOR": None, "FORCE_COLOR": "1", "TERM": "xterm"})
    plain = sidecar("check", bad, env={"NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm"})
    piped = sidecar("check", bad, env={"NO_COLOR": None})

    assert "\x1b[31m" in coloured.stderr
    assert "\x1b[3" not in plain.stderr
    assert "\x1b" not in piped.stderr


def test_json_is_ascii_and_one_document(good: Path):
    """Readable by anything, whatever stands in the policy."""
    result = sidecar("explain", "--json", "--policy", good, "-H", "X-A: \u00e9\udcff")

    assert result.stdout.isascii()
    assert json.loads(result.stdout)["before"] == [["X-A", "\u00c3\u00a9\u00ff"]]
