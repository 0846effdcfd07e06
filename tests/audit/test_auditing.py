"""The verb `audit` from the command line: what it takes, prints, writes, and exits with."""

import json

import pytest
from click.testing import CliRunner

from sidecar.cli.auditing import audit
from sidecar.source import load_policy
from tests.audit.origin import response
from tests.audit.visits import GOOD
from tests.cli import sidecar


def run(*words, stdin=None):
    return CliRunner().invoke(audit, [str(word) for word in words], input=stdin)


@pytest.fixture
def good(site):
    """A good page over https that plain HTTP redirects to; the words that audit it."""
    site.https.responses["/"] = response(
        *(f"{name}: {value}" for name, value in GOOD), body=b"<p>x</p>"
    )
    site.http.responses["/"] = response(
        f"Location: {site.https.url()}", status="301 Moved Permanently"
    )
    return (site.https.url(), "--cacert", site.authority.file, "--http-port", site.http.port)


def test_a_live_page_is_judged_and_graded(good):
    """A page is fetched over https and http, graded, and the run is fine."""
    result = run(*good, "--json")

    (page,) = json.loads(result.stdout)["pages"]
    assert (result.exit_code, page["grade"], page["score"], page["notes"]) == (0, "A+", 145, [])
    assert {row["verdict"] for row in page["headers"]} == {"good"}


@pytest.mark.parametrize(("least", "code"), [("F", 0), ("A+", 1)])
def test_min_grade_decides_the_exit(site, least, code):
    """A page below the grade makes the run fail; one at it does not."""
    site.http.responses["/"] = response("Content-Type: text/html")

    assert run(site.http.url(), "--min-grade", least).exit_code == code


def test_all_pages_count_and_keep_their_order(site, good):
    """Several addresses are judged in the order given; one that does not answer makes the run
    fail.
    """
    closed = f"http://127.0.0.1:{site.closed}/"

    result = run(closed, *good, "--format", "json")

    assert result.exit_code == 1
    assert [(page["url"], page["status"]) for page in json.loads(result.stdout)["pages"]] == [
        (closed, None),
        (good[0], 200),
    ]


@pytest.mark.parametrize(
    ("form", "sign"),
    [
        ("table", "grade A+"),
        ("markdown", "# Header audit"),
        ("sarif", '"version": "2.1.0"'),
        ("json", '"pages"'),
    ],
)
def test_every_format_goes_to_stdout(good, form, sign):
    """The result goes to standard output and nothing else does."""
    result = run(*good, "--format", form)

    assert sign in result.stdout
    assert result.stderr == ""


def test_a_first_policy_is_written_once(site, tmp_path):
    """--write makes a report-only policy that answers the findings; a file that is there is
    kept, unless --force says otherwise.
    """
    site.http.responses["/"] = response("Content-Type: text/html", "Server: x")
    file = tmp_path / "policy.yaml"

    first = run(site.http.url(), "--write", file)
    written = load_policy(file.read_bytes(), "policy.yaml")
    file.write_text("mine")
    second = run(site.http.url(), "--write", file)
    kept = file.read_text()
    third = run(site.http.url(), "--write", file, "--force")

    assert (first.exit_code, second.exit_code, third.exit_code) == (0, 2, 0)
    assert kept == "mine"
    assert "--force" in second.stderr
    assert {"csp", "nosniff", "disclosure"} <= written.policy.rules.keys()
    assert written.mode == "report-only"
    assert load_policy(file.read_bytes(), "policy.yaml").revision() == written.revision()


def test_a_policy_that_cannot_be_written_is_reported(site, tmp_path):
    """A folder that is not there is a usage error, not a traceback."""
    site.http.responses["/"] = response()

    result = sidecar("audit", site.http.url(), "--write", tmp_path / "none" / "policy.yaml")

    assert (result.exit_code, "No such file" in result.stderr) == (2, True)


def test_archives_and_raw_responses_are_read_from_files(tmp_path):
    """--har and --raw judge records; raw responses may come by standard input, and a URL says
    from where.
    """
    raw = b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n"
    har = {
        "log": {
            "entries": [
                {
                    "request": {"method": "GET", "url": "https://a.example/p?q"},
                    "response": {
                        "status": 200,
                        "headers": [{"name": "Content-Type", "value": "text/html"}],
                    },
                }
            ]
        }
    }
    (tmp_path / "x.har").write_text(json.dumps(har))

    urls = [
        json.loads(run(*words, "--json", stdin=raw).stdout)["pages"][0]["url"]
        for words in (
            ("--har", tmp_path / "x.har"),
            ("--raw", "-"),
            ("--raw", "-", "shop.example/x"),
        )
    ]

    assert urls == ["https://a.example/p", "https://localhost/", "https://shop.example/x"]


@pytest.mark.parametrize(
    ("words", "sign"),
    [
        ((), "name URLs"),
        (("--har", "x", "--raw", "y"), "name URLs"),
        (("--har", "x", "a.example"), "name URLs"),
        (("--raw", "-", "a.example", "b.example"), "name URLs"),
        (("ftp://a.example",), "https://HOST/PATH"),
        (("--har", "/nowhere.har"), "No such file"),
        (("--raw", "-"), "curl -si"),
        (("a.example", "--cacert", __file__), "test_auditing.py"),
        (("a.example", "--min-grade", "G"), "--min-grade"),
    ],
)
def test_wrong_use_is_reported_in_words(words, sign):
    """Every wrong use exits 2 with a sentence that names the fix."""
    result = run(*words, stdin=b"")

    assert result.exit_code == 2
    assert sign in result.stderr
