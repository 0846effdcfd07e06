"""The verb `suggest` on a real sidecar that got reports as browsers post them: what it prints,
writes and refuses.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.test_trial import serving
from tests.e2e import wire
from tests.e2e.conftest import Start
from tests.e2e.processes import until
from tests.e2e.running import Sidecar
from tests.rollout.suggesting import hash_source

POLICY = """\
version: 1
mode: trial
rules:
  csp: {header: Content-Security-Policy, action: set, value: "default-src 'self'"}  # ours
"""
SCRIPT = "start();\n// \u202eall is fine\n" + "go();\n" * 20
PAGE = f"<!doctype html><meta charset=utf-8><title>a</title>\n<script>{SCRIPT}</script>"
CHROMIUM = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0"
    " Safari/537.36"
)
NOW = ("--min-clients", "1", "--min-time", "0s")


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """A service with one page."""
    with serving({"/": ("text/html", PAGE)}) as url:
        yield url


@pytest.fixture(scope="module")
def tried(begin: Start, origin: str) -> Sidecar:
    """What was tried, for all tests that write nothing."""
    return reported(begin(POLICY, origin))


def reported(sidecar: Sidecar) -> Sidecar:
    """The sidecar, whose rule is in trial, after one browser has reported the page's script, one
    of no page, and an eval.
    """
    page = sidecar.get("/", ("User-Agent", CHROMIUM), ("Sec-Fetch-Dest", "document"))
    header, *_ = page.values("Content-Security-Policy-Report-Only")
    found = re.search(r"report-uri (\S+)", header)
    assert found is not None
    here = f"http://127.0.0.1:{sidecar.listen[1]}/"
    for directive, blocked, sample in (
        ("script-src-elem", "inline", SCRIPT[:40]),
        ("script-src-elem", "inline", "nowhere()"),
        ("script-src", "eval", ""),
    ):
        body = {
            "document-uri": here,
            "effective-directive": directive,
            "blocked-uri": blocked,
            "script-sample": sample,
            "source-file": here,
        }
        sent = wire.request(
            "POST",
            found[1],
            (("Content-Type", "application/csp-report"), ("User-Agent", CHROMIUM)),
            json.dumps({"csp-report": body}).encode(),
        )
        assert wire.ask(sidecar.listen, sent).status == 204
    until(lambda: sidecar.ask("/api/pages").json()["routes"], "the page is read")
    return sidecar


def suggest(sidecar: Sidecar, *words: object) -> subprocess.CompletedProcess[str]:
    """Run it on the sidecar's own file."""
    return sidecar.verb("suggest", *map(str, words), "--policy", str(sidecar.policy))


def test_every_script_is_shown_whole_and_nothing_is_written(tried: Sidecar):
    """What cannot be seen is spelled out; what would undo the policy is refused, and the exit
    code says so.
    """
    before = tried.policy.read_text()
    done = suggest(tried, "csp", *NOW)
    assert done.returncode == 1
    assert done.stdout.count("  | go();\n") == 20
    assert "  | // \\u202eall is fine\n" in done.stdout
    assert "refused  csp  script-src  eval" in done.stdout
    assert (
        "+  csp: {header: Content-Security-Policy, action: set, value: \"default-src 'self';"
        f" script-src 'self' {hash_source(SCRIPT)}\"}}  # ours" in done.stdout
    )
    assert "--write makes the edit" in done.stderr
    assert tried.policy.read_text() == before


def test_below_the_minimums_it_waits_until_a_person_accepts(start: Start, origin: str):
    """By the id of the cause; then it is written."""
    tried = reported(start(POLICY, origin))
    proposals = json.loads(suggest(tried, "--json").stdout)["proposals"]
    (found,) = [one for one in proposals if one["blocked"].startswith("inline: start()")]
    assert found["outcome"] == "waiting"
    assert found["snippets"][0]["text"] == SCRIPT
    accepted = suggest(tried, "--accept", found["cause"], "--write", "--json")
    assert json.loads(accepted.stdout)["written"]
    assert hash_source(SCRIPT) in tried.policy.read_text()
    (entry,) = [
        one
        for one in tried.ask("/api/revisions").json()["entries"]
        if one["event"] == "policy.suggested"
    ]
    assert (entry["rules"], entry["causes"]) == (["csp"], [found["cause"]])
    assert hash_source(SCRIPT) in entry["diff"]


def test_a_recording_will_do(tried: Sidecar, tmp_path: Path):
    """Pages of a HAR file; one load of a page says less than two, so its script waits."""
    entry = {
        "request": {"method": "GET", "url": "https://shop.test/"},
        "response": {
            "status": 200,
            "headers": [{"name": "Content-Type", "value": "text/html; charset=utf-8"}],
            "content": {"text": PAGE},
        },
    }
    har = tmp_path / "shop.har"
    har.write_text(json.dumps({"log": {"entries": [entry]}}))
    done = suggest(tried, "--har", har, *NOW)
    assert hash_source(SCRIPT) in done.stdout


def test_what_stands_in_no_page_asks_for_it(tried: Sidecar, origin: str):
    """A hash of what nobody has read is never proposed, accepted or not; a page may be named."""
    done = suggest(tried, "--url", f"{origin}/", *NOW)
    assert "inline: nowhere()" in done.stdout
    assert hash_source("nowhere()") not in done.stdout
    assert "fix: name the page: --url URL" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--accept", "nothing"), 2, "no cause has the id 'nothing'; see `sidecar reports`"),
        (("--url", "ftp://shop.test/"), 2, "unknown address 'ftp://shop.test/'"),
        (("--url", "http://127.0.0.1:1/"), 2, "http://127.0.0.1:1/: no response"),
        (("cps",), 1, "unknown rule 'cps'"),
    ],
)
def test_what_cannot_be_done_is_said(tried: Sidecar, words: tuple[str, ...], code: int, said: str):
    """With the word that is wrong."""
    done = suggest(tried, *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_where_nothing_was_reported_there_is_nothing_to_do(start: Start, origin: str):
    """Exit code 0."""
    done = suggest(start(POLICY, origin), "csp")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to do" in done.stderr
