"""Up and down the steps of a rollout by command, on a real sidecar: the file, the journal and
the note agree.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import Any

import pytest

from tests.cli import sidecar as verb
from tests.deploy.fleet import AGENT
from tests.e2e.conftest import Start
from tests.e2e.processes import Service
from tests.e2e.running import Sidecar
from tests.portion import by_default

POLICY = """\
version: 1
name: shop
owner: web@example.com
expected: every page carries a CSP
rollback: sidecar rollback
mode: enforce
rules:
  csp: {header: Content-Security-Policy, action: set, value: "default-src 'self'", mode: report-only}  # first
  camera: {header: Permissions-Policy, action: set, value: camera=(), mode: report-only}
  corp: {header: Cross-Origin-Resource-Policy, action: set, value: same-site, mode: report-only}
  box: {header: Content-Security-Policy, action: append, value: sandbox, mode: report-only}
  idle: {header: X-Idle, action: set, value: x, mode: off}
"""  # noqa: E501


def promote(sidecar: Sidecar, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    done = verb("promote", *words, "--policy", sidecar.policy, "--admin", sidecar.admin)
    return done.exit_code, done.stdout, done.stderr


def test_from_report_only_to_trial_and_back(start: Start, shop: Service):
    """One word of the file each way, no traffic is asked for, and the journal and the note say
    who went where.
    """
    sidecar = start(POLICY, shop.url)
    code, out, _ = promote(sidecar, "csp")
    assert code == 1
    assert sidecar.policy.read_text() == POLICY

    at = len(sidecar.events())
    code, out, err = promote(sidecar, "csp", "--to", "trial")
    assert (code, "is written" in err) == (0, True), err
    assert sidecar.policy.read_text() == POLICY.replace(
        "mode: report-only}  # first", "mode: trial}  # first"
    )
    assert "browsers report what would break, over plain http too" in out
    moved = sidecar.event("promotion.granted", at)
    assert moved["to"] == {"csp": "trial"}
    sidecar.event("policy.activated", at, who="file", promotion=moved["promotion"])
    sidecar.kept("policy.activated")
    assert b"Content-Security-Policy-Report-Only" in shop_page(sidecar)

    at = len(sidecar.events())
    code, _, err = promote(sidecar, "csp", "--step-back")
    assert (code, sidecar.policy.read_text()) == (0, POLICY), err
    assert sidecar.event("step_back.granted", at)["to"] == {"csp": "report-only"}
    sidecar.event("policy.activated", at, who="file")
    sidecar.kept("policy.activated")
    timeline = json.loads(sidecar.verb("note", "--json").stdout)["timeline"]
    assert [one["what"] for one in timeline if one["event"] == "step_back.granted"] == [
        "csp to report-only"
    ]

    code, _, err = promote(sidecar, "csp", "--step-back")
    assert (code, "is in report-only and changes nothing" in err) == (1, True)


def test_the_file_is_written_whoever_reads(start: Start, shop: Service):
    """What was granted is in the file, also where the reader of stdout has gone, as `head` has."""
    sidecar = start(POLICY, shop.url)
    words = ("promote", "csp", "--to", "trial", "--policy", str(sidecar.policy))
    reader, writer = os.pipe()
    os.close(reader)
    subprocess.run(
        [sys.executable, "-m", "sidecar", *words, "--admin", sidecar.admin],
        stdout=writer,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    os.close(writer)

    assert "mode: trial}  # first" in sidecar.policy.read_text()


def test_evidence_of_the_rules_that_are_named(start: Start, shop: Service):
    """Alone, in the order of the policy; a name that no rule has is a mistake."""
    sidecar = start(POLICY, shop.url)
    found = json.loads(sidecar.verb("evidence", "corp", "csp", "--json").stdout)
    assert [item["rule"] for item in found["evidence"]] == ["csp", "corp"]
    assert [verdict["rule"] for verdict in found["verdicts"]] == ["csp", "corp"]

    wrong = sidecar.verb("evidence", "crop")
    assert (wrong.returncode, "did you mean 'corp'?" in wrong.stderr) == (2, True)


def test_the_edit_goes_into_a_configmap(start: Start, shop: Service):
    """The command that is printed changes the text from what the file held to what it holds;
    else it fails in the cluster.
    """
    sidecar = start(POLICY, shop.url)

    _, out, _ = promote(sidecar, "csp", "--to", "trial", "--dry-run", "--configmap", "web/shop")
    words = shlex.split(out.splitlines()[-1])
    assert words[:6] == ["kubectl", "--namespace", "web", "patch", "configmap", "shop"]
    assert words[6:9] == ["--type", "json", "--patch"]
    assert sidecar.policy.read_text() == POLICY

    code, _, _ = promote(sidecar, "csp", "--to", "trial")
    check, change = json.loads(words[9])
    assert code == 0
    assert check == {"op": "test", "path": "/data/policy.yaml", "value": POLICY}
    assert change["value"] == sidecar.policy.read_text()

    code, out, _ = promote(sidecar, "csp", "--step-back", "--configmap", "shop", "--json")
    patch = json.loads(out)["configmap"]["patch"]
    assert [step["value"] for step in patch] == [change["value"], POLICY]
    assert promote(sidecar, "csp", "--configmap", "a/b/c")[0] == 2


def shop_page(sidecar: Sidecar) -> bytes:
    """The names of the header lines of a page, as a browser gets it."""
    browser = (
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "none"),
    )
    return repr(sidecar.get("/", *browser)).encode()


def test_what_a_trial_can_show(start: Start, shop: Service):
    """Each kind of rule hears what it gets from a trial; what is off or unknown is refused, and
    the words of a step back are its own.
    """
    sidecar = start(POLICY, shop.url)

    def said(*words: str) -> Any:
        return promote(sidecar, *words, "--dry-run")

    for rule, sentence in {
        "camera": "over https only",
        "corp": "has no report-only form: in trial the rule does what it does in report-only",
        "box": "what a trial cannot show: browsers never report what `sandbox` blocks",
    }.items():
        code, out, _ = said(rule, "--to", "trial")
        assert (code, sentence in out) == (0, True), out
    assert sidecar.policy.read_text() == POLICY
    assert (
        "rule 'idle' is off; write mode: report-only for it first"
        in said("idle", "--to", "trial")[2]
    )
    unknown = said("scp", "--to", "trial")[2]
    assert "unknown rule 'scp'; did you mean 'csp'?" in unknown
    assert "next: correct that, and run again: sidecar promote" in unknown
    for words in (("--to", "trial"), ("--override", "why"), ("--waive", "c1")):
        code, _, err = said("csp", "--step-back", *words)
        assert (code, "--step-back asks for no evidence" in err) == (2, True)


@pytest.mark.parametrize("rule", by_default(["csp", "camera"], "csp".__eq__))
def test_promote_names_the_trial_as_the_next_step(rule: str, start: Start, shop: Service):
    """What only browsers can judge goes to trial first, and the command for it is given."""
    sidecar = start(POLICY, shop.url)
    sidecar.get("/")

    code, _, err = promote(sidecar, rule, "--min-requests", "1", "--min-time", "0s")

    assert (code, f"Run `sidecar promote {rule} --to trial`" in err) == (1, True), err
    shown = sidecar.verb("evidence", "--min-requests", "1", "--min-time", "0s")
    todo = f"only browsers can tell, and the rule is not in trial. Run `sidecar promote {rule} --to"
    assert f"{rule}: {todo} trial`" in shown.stdout
    assert shown.stderr == ""


def test_evidence_names_the_promotion_with_the_same_minimums(start: Start, shop: Service):
    """The next command passes where the evidence was enough: its options are those that were
    given.
    """
    sidecar = start(
        POLICY.replace(
            "X-Idle, action: set, value: x, mode: off",
            "X-Powered-By, action: remove, mode: report-only",
        ),
        shop.url,
    )
    sidecar.get("/")

    shown = sidecar.verb("evidence", "--min-requests", "1", "--min-time", "0ms")
    given = f"--admin {sidecar.admin} --min-requests 1 --min-time 0ms"
    assert shown.stderr == f"next: sidecar promote idle {given}\n", shown.stdout


LADDER = """\
version: 1
name: shop
owner: web@example.com
expected: browsers keep to https
rollback: sidecar promote hsts --step-back
mode: enforce
rules:
  hsts:
    header: Strict-Transport-Security
    action: set
    ladder: [5m, 1d, 30d]   # slowly
    mode: report-only
"""
ENOUGH = ("--min-requests", "4", "--min-time", "0s")


def test_a_ladder_is_climbed_on_what_trusted_proxies_say(start: Start, shop: Service):
    """Plain http counts against, a new step starts anew, and a step back says what browsers
    keep.
    """
    sidecar = start(LADDER, shop.url, forwarding={"trusted": ["127.0.0.0/8"]})

    def visit(count: int, scheme: str) -> str | None:
        for _ in range(count):
            page = sidecar.get("/", ("User-Agent", AGENT), ("X-Forwarded-Proto", scheme))
        return page.value("Strict-Transport-Security")

    def climb(*words: str) -> tuple[int, str, str]:
        at = len(sidecar.events())
        code, out, err = promote(sidecar, "hsts", *words)
        if "is written" in err:
            sidecar.event("policy.activated", at, who="file")
            sidecar.kept("policy.activated")
        return code, out, err

    assert climb(*ENOUGH)[0] == 1
    assert sidecar.policy.read_text() == LADDER
    assert visit(4, "https") is None
    code, out, err = climb(*ENOUGH)
    assert (code, "100% of them came over https; needed: 99%" in out) == (0, True), out + err
    assert visit(4, "https") == "max-age=300"
    assert visit(1, "http") is None

    code, out, _ = climb(*ENOUGH)
    assert (code, "80% of them came over https; needed: 99%" in out) == (1, True), out
    assert climb(*ENOUGH, "--min-https", "80%")[0] == 0
    assert "    step: 2\n" in sidecar.policy.read_text()
    code, out, err = climb(*ENOUGH)
    assert (code, "0 requests of browsers whose scheme is vouched for" in out) == (1, True), out
    assert visit(4, "https") == "max-age=86400"
    assert "step 2 of 3 (1d)" in sidecar.verb("evidence").stdout

    sidecar.restart()
    code, _, err = climb("--step-back")
    assert (code, "browsers that were here keep to https for 1d, the last until " in err) == (
        0,
        True,
    ), err
    assert "send max-age=0 over https" in err
    assert visit(1, "https") == "max-age=300"
    note = json.loads(sidecar.verb("note", "--json").stdout)
    (back,) = [one for one in note["timeline"] if one["event"] == "step_back.granted"]
    assert back["what"] == "hsts to enforce, step 1 of 3 (5m)"
    assert "keep to https for 1d" in back["why"]

    assert climb(*ENOUGH, "--override", "for the test")[0] == 0
    assert visit(1, "https") == "max-age=86400"
    assert "keep to https for 1d" in sidecar.verb("rollback").stderr


def test_evidence_of_another_step_is_refused(start: Start, shop: Service):
    """A step written by hand that is not in force yet cannot be climbed from."""
    sidecar = start(LADDER.replace("report-only", "enforce"), shop.url)
    elsewhere = sidecar.policy.with_name("edited.yaml")
    elsewhere.write_text(sidecar.policy.read_text() + "    step: 2\n")

    done = verb("promote", "hsts", "--policy", elsewhere, "--admin", sidecar.admin, *ENOUGH)

    assert done.exit_code == 1
    assert "the file puts 'hsts' on step 2, and the sidecar is on step 1 of 3 (5m)" in done.stderr
