"""diff and test: what they print, what they write, and their exit codes."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from sidecar.baseline.file import yaml_text
from sidecar.cli import commands
from tests.rollout.observing import baseline, page

OLD = """\
version: 1
mode: enforce
rules:
  server: {action: remove, header: Server}
  csp: {action: set, header: Content-Security-Policy, value: "default-src 'self'"}
routes:
  - {name: api, match: {path: /api/**}}
"""
NEW = """\
version: 1
mode: enforce
rules:
  server: {action: remove, header: Server, mode: report-only}
  csp: {action: set, header: Content-Security-Policy, value: "default-src *"}
  nosniff: {action: set, header: X-Content-Type-Options, value: nosniff}
routes:
  - {name: all, match: {path: /**}}
  - {name: api, match: {path: /api/**}}
"""
DIFF = """\
route all added: path - -> /**
route api is never reached: all takes all its requests before
rule     on routes          change   was      is           says
server   all, api, default  changed  enforce  report-only
csp      all, api, default  changed  enforce  enforce      value: default-src 'self' -> default-src *
nosniff  all, api, default  added    -        enforce
NEW enforces more: nosniff
NEW enforces less: server

Of 2 responses, 2 would differ

route default -> all  2 responses, as GET https://shop.example/ -> 200
  - Content-Security-Policy: default-src 'self'
  + Content-Security-Policy: default-src *   weaker: default-src allows more
  - Server: (absent)
  + Server: uvicorn
  - X-Content-Type-Options: (absent)
  + X-Content-Type-Options: nosniff
  reported now: nosniff missing (X-Content-Type-Options)
"""  # noqa: E501
TESTS = """\
version: 1
policy: policy.yaml
cases:
  - name: no response names its server
    response: {headers: {Server: uvicorn}}
    expect: {headers: {Server: null}, route: default}
  - name: pages keep to themselves
    expect:
      violations: [{rule: csp, kind: missing}]
      headers: {Content-Security-Policy: "default-src 'none'", Server: uvicorn}
"""
FAILED = """\
      case                          where
pass  no response names its server  shop.test.yaml:4
FAIL  pages keep to themselves      shop.test.yaml:7

FAIL pages keep to themselves  shop.test.yaml:7
  header Content-Security-Policy
  - expected default-src 'none'
  + got      default-src 'self'
                          ^
  header Server
  - expected uvicorn
  + got      (absent)
"""


def sidecar(*words: str | Path) -> Result:
    """Run one verb in this process."""
    return CliRunner().invoke(commands, [str(word) for word in words], env={"SIDECAR_POLICY": None})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with both policies, tests of the old one, and a baseline."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("policy.yaml", OLD), ("new.yaml", NEW), ("shop.test.yaml", TESTS)):
        (tmp_path / name).write_text(text)
    (tmp_path / "baseline.yaml").write_text(
        yaml_text(baseline(page(("Server", "uvicorn")), page(("Server", "uvicorn"), path="/a")))
    )
    return tmp_path


def _shown(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_diff_tells_meaning_and_effect() -> None:
    """Routes, rules, who enforces more, and header before and after for recorded responses; exit
    1.
    """
    done = sidecar("diff", "policy.yaml", "new.yaml", "--baseline", "baseline.yaml")

    assert done.exit_code == 1
    assert _shown(done.stdout) == _shown(DIFF)


def test_the_same_meaning_exits_0(folder: Path) -> None:
    """Comments and forms are no difference."""
    (folder / "new.yaml").write_text(
        "# the same\n" + OLD.replace("\"default-src 'self'\"", "{default-src: [\"'self'\"]}")
    )
    done = sidecar("diff", "policy.yaml", "new.yaml", "--baseline", "baseline.yaml")

    assert (done.exit_code, done.stdout.strip()) == (0, "Of 2 responses, 0 would differ")
    assert "both mean the same" in done.stderr


COMMENT = """\
## What this change of the policy means

- route `all` added: path: - -> `/**`
- **route `api` is never reached**: `all` comes first and takes all its requests

| rule | routes | change | mode | demand |
| --- | --- | --- | --- | --- |
| `server` | all, api, default | changed | enforce -> report-only |  |
| `csp` | all, api, default | changed | enforce -> enforce | value: `default-src 'self'` -> `default-src *` |
| `nosniff` | all, api, default | added | - -> enforce |  |

Enforces more: `nosniff`.

**Enforces less**: `server`.

### 2 of 2 recorded responses would differ

Route `all` (was `default`): 2, such as `GET https://shop.example/ -> 200`

| header | before | after | weaker |
| --- | --- | --- | --- |
| `Content-Security-Policy` | `default-src 'self'` | `default-src *` | default-src allows more |
| `Server` | (absent) | `uvicorn` |  |
| `X-Content-Type-Options` | (absent) | `nosniff` |  |

Reported now: `nosniff` (missing).
"""  # noqa: E501


def test_diff_as_a_comment() -> None:
    """Markdown for a pull request holds what the text holds; the exit code is the same."""
    done = sidecar(
        "diff", "policy.yaml", "new.yaml", "--baseline", "baseline.yaml", "--format", "markdown"
    )

    assert (done.exit_code, done.stdout) == (1, COMMENT)


def test_a_comment_on_no_change() -> None:
    """Two policies of one meaning give a comment that says so, and exit 0."""
    done = sidecar("diff", "policy.yaml", "policy.yaml", "--format", "markdown")

    assert done.exit_code == 0
    assert done.stdout.endswith("Nothing: both policies mean the same.\n")


def test_diff_as_data() -> None:
    """JSON names every difference, both revisions, and the effects."""
    data = json.loads(
        sidecar("diff", "policy.yaml", "new.yaml", "--baseline", "baseline.yaml", "--json").stdout
    )
    same = json.loads(sidecar("diff", "policy.yaml", "policy.yaml", "--json").stdout)

    assert (data["same"], data["less"], data["responses"], len(data["effects"])) == (
        False,
        ["all/server", "api/server", "default/server"],
        2,
        1,
    )
    assert data["effects"][0]["headers"][0]["weaker"] == "default-src allows more"
    assert data["shadowed"] == [{"route": "api", "by": "all"}]
    assert (same["same"], same["rules"], same["old"]) == (True, [], same["new"])


def test_diff_tries_archives(folder: Path) -> None:
    """The responses of an archive show the effect; their cookies do not show."""
    request = {"method": "GET", "url": "https://shop.example/api/x", "headers": []}
    response = {
        "status": 200,
        "headers": [{"name": "Server", "value": "a"}, {"name": "Set-Cookie", "value": "a=c0ffee"}],
    }
    (folder / "x.har").write_text(
        json.dumps({"log": {"entries": [{"request": request, "response": response}]}})
    )
    done = sidecar("diff", "policy.yaml", "new.yaml", "--har", "x.har")

    assert "route api -> all  1 response, as GET https://shop.example/api/x -> 200" in done.stdout
    assert "c0ffee" not in done.output


@pytest.mark.parametrize(
    ("words", "data"),
    [
        (["policy.yaml", "none.yaml"], "No such file"),
        (["policy.yaml", "baseline.yaml"], "unknown key 'cells'"),
        (["policy.yaml", "new.yaml", "--har", "policy.yaml"], "is no HTTP archive"),
        (["policy.yaml", "new.yaml", "--baseline", "new.yaml"], "unknown key 'rules'"),
        (["policy.yaml"], "Missing argument"),
    ],
)
def test_what_cannot_be_compared_exits_2(words: list[str], data: str) -> None:
    """1 says that they differ, so trouble is 2."""
    done = sidecar("diff", *words)

    assert done.exit_code == 2
    assert data in done.stderr


def test_failures_show_both_sides_and_where_they_part() -> None:
    """Every case in a table, then each failure with the differing place marked; exit 1."""
    done = sidecar("test")

    assert done.exit_code == 1
    assert _shown(done.stdout) == _shown(FAILED)
    assert "2 cases: 1 passed, 1 failed" in done.stderr


def test_right_tests_exit_0_and_write_junit(folder: Path) -> None:
    """All files beside the policy are run; the report counts them."""
    (folder / "shop.test.yaml").write_text(
        TESTS.replace("default-src 'none'", "default-src 'self'").replace(
            "Server: uvicorn}\n", "Server: null}\n"
        )
    )
    (folder / "api.test.yaml").write_text(TESTS.partition("  - name: pages")[0])
    done = sidecar("test", "--junit", "report.xml")
    suites = ET.parse(folder / "report.xml").getroot()

    assert done.exit_code == 0, done.output
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in suites] == [
        ("api.test.yaml", "1", "0"),
        ("shop.test.yaml", "2", "0"),
    ]


def test_tests_as_data() -> None:
    """JSON counts, and lists every case."""
    data = json.loads(sidecar("test", "shop.test.yaml", "--json").stdout)

    assert (data["passed"], data["failed"], data["problems"]) == (1, 1, [])
    assert [case["passed"] for case in data["cases"]] == [True, False]


def test_a_violation_that_was_not_expected_is_named(folder: Path) -> None:
    """What is missing and what is too much, each on its line."""
    (folder / "shop.test.yaml").write_text(
        TESTS.replace("{rule: csp, kind: missing}", "{rule: csp, kind: weak}, {rule: server}")
    )
    done = sidecar("test")

    assert [line.strip() for line in done.stdout.splitlines() if "violation" in line] == [
        "violation not found: csp weak",
        "violation not found: server",
        "violation not expected: csp missing",
    ]


@pytest.mark.parametrize(
    ("name", "text", "code", "data"),
    [
        (
            "shop.test.yaml",
            TESTS.replace("rule: csp", "rule: cps"),
            1,
            "shop.test.yaml:9:27: error: unknown rule 'cps'; did you mean 'csp'?",
        ),
        ("shop.test.yaml", TESTS.replace("policy.yaml", "gone.yaml"), 2, "gone.yaml: No such file"),
        (
            "policy.yaml",
            OLD.replace("action: set", "action: sett"),
            1,
            "policy.yaml:5:17: error: unknown action 'sett'; did you mean 'set'?",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_reported_in_its_place(
    folder: Path, name: str, text: str, code: int, data: str
) -> None:
    """A wrong name in a test, a policy that is not there or not right: nothing passes silently."""
    (folder / name).write_text(text)
    done = sidecar("test")

    assert done.exit_code == code
    assert data in done.stderr


def test_a_broken_file_does_not_hide_the_others(folder: Path) -> None:
    """The cases of sound files are run and reported; the exit code stays 1."""
    (folder / "broken.test.yaml").write_text("version: 1\n")
    (folder / "shop.test.yaml").write_text(TESTS.partition("  - name: pages")[0])
    done = sidecar("test")

    assert done.exit_code == 1
    assert "1 case: 1 passed, 0 failed; 2 problems" in done.stderr


def test_no_tests_at_all_is_a_usage_error(folder: Path) -> None:
    """A run that tests nothing must not look like success."""
    (folder / "shop.test.yaml").unlink()
    done = sidecar("test")

    assert done.exit_code == 2
    assert "there is no *.test.yaml" in done.stderr
