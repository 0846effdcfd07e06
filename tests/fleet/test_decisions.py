"""What one replica decides is in force on all: rollback, mode, edits of the file, new replicas,
two operators.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

from tests.e2e import wire
from tests.e2e.processes import until
from tests.e2e.running import Sidecar
from tests.fleet.conftest import ABOUT, Join, all_have, fleet, mark, marked
from tests.portion import full


def test_a_rollback_on_one_is_a_rollback_on_all(join: Join):
    """In force, pinned, in every journal with who and why, counted; the command says how far it
    came.
    """
    a, b = join("a"), join("b")
    a.write(marked("two"))
    all_have("two", a, b)

    done = a.verb("rollback", "--reason", "partner portal", "--fleet")
    assert done.returncode == 0, done.stderr
    assert "fleet shop: version 3, in force on 2 of 2 replicas" in done.stderr
    all_have("one", a, b)
    assert a.status()["pinned"] == b.status()["pinned"] is not None
    entry = b.event("decision.followed", decided="policy.rolled_back")
    assert (entry["reason"], entry["replica"]) == ("partner portal", fleet(a)["replica"])
    b.kept("decision.followed")
    assert json.loads((b.state / "journal.jsonl").read_text().splitlines()[-1])["fleet"] == 3
    assert b.metric("sidecar_rollbacks_total", cause="fleet") == 1


@full
def test_a_mode_on_one_is_the_mode_of_all(join: Join):
    """Lowered on one, lifted on the other, also in workers."""
    a, b = join("a"), join("b", workers=2)

    assert a.verb("mode", "report-only", "--reason", "look first").returncode == 0
    all_have(None, a, b)
    assert b.status()["override"]["reason"] == "look first"
    assert b.verb("mode", "enforce").returncode == 0
    all_have("one", a, b)
    assert a.status()["override"] is None


@full
def test_status_lists_the_replicas(join: Join):
    """Each with revision, mode, when it was last seen and its lag."""
    a, b = join("a"), join("b")
    listed = a.verb("status", "--fleet", "--json")

    data = json.loads(listed.stdout)
    assert {one["replica"] for one in data["replicas"]} == {
        fleet(a)["replica"],
        fleet(b)["replica"],
    }
    assert {one["mode"] for one in data["replicas"]} == {"enforce"}
    assert {one["revision"] for one in data["replicas"]} == {a.status()["revision"]}
    assert "this one" in a.verb("status", "--fleet").stdout
    assert [entry["event"] for entry in data["journal"]] == ["policy.activated"]


def test_a_new_replica_starts_with_the_fleet(join: Join):
    """Not with its old file; and it can go back to what it never had itself. A file that is new
    to the fleet is news.
    """
    a = join("a")
    for value in ("two", "three"):
        a.write(marked(value))
        all_have(value, a)
    late = join("late")

    assert mark(late) == "three"
    assert late.reported("policy.pinned")
    assert late.verb("rollback").returncode == 0
    all_have("two", a, late)
    new = join("new", marked("four"))
    assert mark(new) == "four"
    all_have("four", a, late)


@full
def test_a_file_that_arrives_late_changes_nothing(join: Join):
    """The same edit on every replica is one decision; an older one that comes late is none."""
    a, b = join("a"), join("b")
    a.write(marked("two"))
    all_have("two", a, b)
    a.write(marked("three"))
    all_have("three", a, b)
    version = fleet(a)["version"]

    b.write(marked("two"))
    reload = b.order("/-/reload").json()
    assert reload["result"] == "pinned"
    b.write(marked("three"))
    assert b.order("/-/reload").json()["result"] == "unchanged"
    assert fleet(b)["version"] == fleet(a)["version"] == version
    assert mark(a) == mark(b) == "three"


@full
def test_an_edit_back_is_news(join: Join):
    """Reverting the file is a decision, where the file was the one decided on last."""
    a, b = join("a"), join("b")
    a.write(marked("two"))
    b.write(marked("two"))
    all_have("two", a, b)
    for one in (a, b):
        one.order("/-/reload")  # who followed the other may not have read its own file yet
    a.write(marked("one"))
    all_have("one", a, b)
    assert a.status()["pinned"] is None


def test_two_operators_do_not_overwrite_each_other(join: Join):
    """Who ordered from what is over is refused, and learns what the other did."""
    a, b = join("a"), join("b")
    version = str(fleet(a)["version"])
    orders = ("mode", "report-only", "--reason", "mine", "--if-version", version)

    assert a.verb(*orders).returncode == 0
    all_have(None, a, b)
    refused = b.verb("mode", "off", "--if-version", version)
    assert (refused.returncode, "is at version 2, not 1" in refused.stderr) == (1, True)
    assert b.status()["mode"] == "report-only"


def test_what_is_asked_of_a_fleet_wants_one(front: Sidecar):
    """`--fleet` where there is none is refused."""
    for words in (
        ("rollback",),
        ("status",),
        ("status", "--json"),
        ("promote", "mark", "--policy", str(front.policy)),
        ("evidence",),
        ("reports",),
    ):
        refused = front.verb(*words, "--fleet")
        assert (refused.returncode, "in no fleet" in refused.stderr) == (1, True), words
    assert "sidecar_fleet_connected{" not in front.metrics()


@full
def test_the_page_shows_the_fleet_and_refuses_what_is_over(join: Join):
    """Every replica with its revision; a form that was shown before another decision changes
    nothing.
    """
    a, b = join("a"), join("b")
    until(lambda: len(fleet(a)["replicas"]) == 2, "both are listed")
    page = a.ask("/").body.decode()

    assert fleet(a)["replica"] in page and fleet(b)["replica"] in page
    assert "an order here is an order to all replicas" in page
    form = re.search(r'name="form" value="([^"]+)"', page)
    assert form and 'name="version" value="1"' in page
    assert b.order("/-/mode", mode="report-only").status == 200
    all_have(None, a, b)
    words = {"form": form[1], "version": "1", "mode": "off", "sure": "yes", "reason": "late"}
    headers = [("Host", "127.0.0.1"), ("Content-Type", "application/x-www-form-urlencoded")]
    answer = wire.ask(
        a.admin_address,
        wire.request("POST", "/orders/mode", headers, urlencode(words).encode()),
    )
    assert "decided+otherwise" in (answer.value("Location") or "")
    assert a.status()["mode"] == "report-only"


@full
def test_the_journal_is_the_fleets(join: Join):
    """`history --fleet` on any replica says what was decided, and promoted, on every one."""
    a, b = join("a"), join("b")
    assert a.verb("mode", "report-only", "--reason", "look first").returncode == 0
    order = {"rules": ["csp"], "policy": ABOUT, "override": "it is safe", "who": "anna"}
    assert a.order("/-/promotion", **order).status == 200
    entries = json.loads(b.verb("history", "--fleet", "--json").stdout)["entries"]

    assert [one["event"] for one in entries] == [
        "promotion.granted",
        "mode.overridden",
        "policy.activated",
    ]
    assert "diff" not in entries[0]
    assert (entries[1]["reason"], entries[1]["replica"]) == ("look first", fleet(a)["replica"])
    assert a.verb("mode", "enforce").returncode == 0
    lines = b.verb("history", "--fleet").stdout.splitlines()
    assert "look first" in lines[3] and "report-only" in lines[3]
    assert "enforce" in lines[1]
