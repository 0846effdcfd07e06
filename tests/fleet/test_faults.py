"""Real sidecars whose store is killed, stopped, emptied: traffic goes on, nothing is lost, all
come together again.
"""

from __future__ import annotations

import signal

import pytest

from tests.e2e.processes import until
from tests.fleet.conftest import Join, all_have, connected, fleet, mark, marked
from tests.fleet.killing import Killing
from tests.fleet.server import Server
from tests.portion import full


@full
def test_killed_stores_and_replicas_lose_no_decision(join: Join, store: Server):
    """A few turns of `python -m tests.fleet.killing`, which kills two hundred."""
    fleet_ = [join(name) for name in "ab"]
    fleet_[0].write(marked("two"))
    all_have("two", *fleet_)
    count = Killing(store, fleet_, seed=5).run(8)

    assert (count.lost, count.apart) == ([], []), count
    assert count.acknowledged


def test_a_store_that_dies_is_seen_and_changes_nothing(join: Join, store: Server):
    """Metric and event say so; `--fleet` is refused; a rollback without it holds here, says so,
    and is everywhere afterwards.
    """
    a, b = join("a"), join("b", workers=2)
    a.write(marked("two"))
    all_have("two", a, b)
    store.kill()
    connected(0, a, b)
    assert a.reported("store.lost")
    assert {mark(a), mark(b)} == {"two"}

    refused = a.verb("rollback", "--fleet")
    assert (refused.returncode, "cannot be reached" in refused.stderr) == (1, True)
    done = a.verb("rollback", "--reason", "now")
    assert (done.returncode, "alone, and is published when the store is back" in done.stderr) == (
        0,
        True,
    )
    assert (mark(a), mark(b)) == ("one", "two")
    assert "still to be published" in a.verb("status", "--fleet").stdout
    store.start()
    all_have("one", a, b)
    connected(1, a, b)
    assert b.status()["pinned"] == a.status()["pinned"] is not None


@full
def test_a_store_that_stops_answering_holds_up_neither_traffic_nor_orders(
    join: Join, store: Server
):
    """Stopped, not dead: an order holds here; the other follows when it goes on."""
    a, b = join("a"), join("b")
    store.child.signal(signal.SIGSTOP)

    assert a.order("/-/mode", mode="report-only").json()["fleet"]["pending"]
    assert (mark(a), mark(b)) == (None, "one")
    connected(0, a, b)
    store.child.signal(signal.SIGCONT)
    all_have(None, a, b)


@full
@pytest.mark.parametrize("workers", [1, 2])
def test_an_emptied_store_is_filled_again(join: Join, store: Server, workers: int):
    """After FLUSHALL the replicas publish what is in force, and go on deciding together."""
    a, b = join("a", workers=workers), join("b")
    assert a.verb("mode", "report-only").returncode == 0
    all_have(None, a, b)
    store.client.flushall()

    until(
        lambda: store.client.hget(store.key("decision"), "version") == "2", "it is published again"
    )
    assert mark(a) is mark(b) is None
    assert b.verb("mode", "enforce", "--fleet").returncode == 0
    all_have("one", a, b)


def test_the_breach_on_one_replica_takes_the_policy_back_on_all(join: Join):
    """A guard fires where the traffic is; every replica goes back, and is pinned."""
    guarded = marked("two").replace("\nrules:", "\nguard: {window: 60s, min-requests: 5}\nrules:")
    a, b = join("a", marked("one").replace("mode: enforce", "mode: report-only")), join("b")
    a.write(guarded)
    all_have("two", a, b)
    for _ in range(10):
        a.get("/broken")

    a.event("guard.fired")
    b.event("decision.followed", decided="policy.rolled_back", who="guard")
    assert b.status()["pinned"]


@full
def test_a_quorum_of_guards_takes_the_policy_back(join: Join, store: Server):
    """One breach of two that are asked for is noted and changes nothing; the second, on another
    replica, is enough.
    """
    guarded = marked("two").replace("\nrules:", "\nguard: {window: 60s, min-requests: 5}\nrules:")
    quorum = {"fleet": {"url": store.url, "name": "shop", "quorum": "50%"}}
    a, b, c = (
        join(name, marked("one").replace("mode: enforce", "mode: report-only"), **quorum)
        for name in "abc"
    )
    until(lambda: len(fleet(a)["replicas"]) == 3, "all are listed")
    a.write(guarded)
    all_have("two", a, b, c)
    for _ in range(10):
        a.get("/broken")

    assert "1 of 3 replicas saw it" in a.event("guard.waits")["reason"]
    assert a.event("guard.waits")["reason"].endswith("asks for 2")
    assert mark(a) == "two"
    for _ in range(10):
        b.get("/broken")
    c.event("decision.followed", decided="policy.rolled_back", who="guard")
    all_have(None, a, b, c)
