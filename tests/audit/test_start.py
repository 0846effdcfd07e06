"""The verb `init`: from a running service, or a preset, to a policy and tests that stand."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.rollout.promotion import promote
from tests.audit.origin import response
from tests.cli import sidecar
from tests.portion import by_default

PAGE = (
    "Content-Type: text/html",
    "Set-Cookie: session=SECRET; Path=/",
    "Content-Security-Policy: script-src 'nonce-U0VDUkVU'",
    "X-Powered-By: PHP/8",
)


def init(*words: object, folder: Path):
    """Run it without a terminal; what it says, and the two files."""
    file = folder / "policy.yaml"
    return sidecar("init", *words, "--output", file), file, folder / "policy.test.yaml"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--preset", "baseline-2026-11"),
        ("--yes", "--name", "a: b", "--owner", "web@example.com"),
    ],
)
@pytest.mark.parametrize(
    "lines",
    [
        PAGE,
        ("Content-Type: text/html",),
        (*PAGE, "Server: Werkzeug/3"),
        ("Content-Type: application/json",),
    ],
)
def test_a_running_service_gets_a_policy_that_is_sound_and_tests_that_pass(
    site, tmp_path, lines, words
):
    """Report-only, nothing to warn of, no secret in the files, and the next command is said."""
    site.http.responses["/"] = response(*lines, body=b"<p>x</p>")
    reported, policy, tests = init(site.http.url(), *words, folder=tmp_path)

    assert reported.exit_code == 0
    assert "mode: report-only\n" in policy.read_text()
    assert "SECRET" not in policy.read_text() + tests.read_text()
    assert "U0VDUkVU" not in policy.read_text() + tests.read_text()
    assert f"next: sidecar check {policy} && sidecar test {tests}" in reported.stderr
    assert f"--upstream {site.http.url().rstrip('/')}" in reported.stderr
    assert sidecar("check", "--strict", policy).exit_code == 0
    assert sidecar("test", tests).exit_code == 0


def test_what_is_found_becomes_rules_with_the_reason_above(site, tmp_path):
    """Without a preset; one that is made for such a service is taken by itself."""
    site.http.responses["/"] = response(*PAGE)
    _, seen, _ = init(site.http.url(), folder=tmp_path)
    text = seen.read_text()

    assert (
        "# Set-Cookie is weak: Scripts, including injected ones, can read the cookie session."
        in text
    )
    assert "disclosure: {header: [X-Powered-By], action: remove}" in text
    assert "extends" not in text
    site.http.responses["/"] = response(*PAGE, "Server: Werkzeug/3")
    init(site.http.url(), "--force", folder=tmp_path)
    assert "extends: [flask-2026-11]" in seen.read_text()
    assert "cookie-session:" in seen.read_text()


def test_what_browsers_ignore_is_said(site, tmp_path):
    """With the command that shows it."""
    site.http.responses["/"] = response("Content-Type: text/html", "X-Frame-Options: NO")
    reported, *_ = init(site.http.url(), folder=tmp_path)

    assert f"(X-Frame-Options): sidecar audit {site.http.url()}" in reported.stderr


def test_nothing_answers(site, tmp_path):
    """A clear error with two ways on; with a preset the policy is written all the same."""
    url = f"http://127.0.0.1:{site.closed}/"
    reported, policy, tests = init(url, folder=tmp_path)

    assert (reported.exit_code, policy.exists()) == (1, False)
    assert f"{url}: no response: " in reported.stderr
    assert "sidecar init URL" in reported.stderr
    assert "sidecar init --preset baseline-2026-11" in reported.stderr
    reported, policy, tests = init(url, "--preset", "baseline-2026-11", folder=tmp_path)
    assert reported.exit_code == 0
    assert sidecar("check", "--strict", policy).exit_code == 0
    assert sidecar("test", tests).exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "none"), "known: api-"),
        (("ftp://x",), "unknown address"),
        (
            ("--output", "/nowhere/p.yaml", "--preset", "api-2026-11"),
            "/nowhere/p.yaml: it cannot be written",
        ),
    ],
)
def test_what_cannot_be_done_is_said(site, tmp_path, words, said):
    """Usage errors with the way on."""
    url = () if words[0].startswith("ftp") else (site.http.url(),)
    reported = sidecar("init", *url, *words)

    assert reported.exit_code == 2
    assert said in reported.stderr


def test_a_file_that_is_there_is_kept(site, tmp_path):
    """Unless --force says otherwise; neither of the two is written when one is there."""
    site.http.responses["/"] = response("Content-Type: text/html")
    tests = tmp_path / "policy.test.yaml"
    tests.write_text("mine")
    reported, policy, _ = init(site.http.url(), folder=tmp_path)

    assert (reported.exit_code, policy.exists(), tests.read_text()) == (2, False, "mine")
    assert "--force overwrites" in reported.stderr
    assert init(site.http.url(), "--force", folder=tmp_path)[0].exit_code == 0
    assert tests.read_text() != "mine"


@pytest.mark.parametrize(
    ("typed", "written"),
    by_default(
        [
            ("shop\nweb@example.com\nseen\n", True),
            ("shop\nweb@example.com\nstrict-2026-11\n", True),
            ("n\n", False),
        ],
        lambda case: "seen" in case[0],
    ),
)
def test_at_a_terminal_three_questions_are_asked(site, tmp_path, typed, written):
    """The name, the owner, where to start; and a fourth only before something is overwritten."""
    site.http.responses["/"] = response("Content-Type: text/html")
    if not written:
        (tmp_path / "policy.yaml").write_text("mine")
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    command = [sys.executable, "-m", "sidecar", "init", site.http.url()]
    try:
        done = subprocess.run(
            command, cwd=tmp_path, stdin=theirs, capture_output=True, text=True, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)
    text = (tmp_path / "policy.yaml").read_text()

    assert done.returncode == (0 if written else 2), done.stderr
    if written:
        assert "name: shop\n" in text
        assert "owner: web@example.com\n" in text
        assert ("extends: [strict-2026-11]" in text) is ("strict" in typed)
        assert done.stderr.count("?") == 3
    else:
        assert text == "mine"


def test_its_tests_hold_while_rules_are_promoted(site, tmp_path):
    """`promote` gives each other rule the mode that it had."""
    site.http.responses["/"] = response("Content-Type: text/html", "Server: here")
    _, file, tests = init(site.http.url(), "--owner", "a@b.c", folder=tmp_path)
    for rule in ("nosniff", "csp", "disclosure"):
        file.write_text(promote(file.read_text(), [rule]))

        assert sidecar("test", tests).exit_code == 0
