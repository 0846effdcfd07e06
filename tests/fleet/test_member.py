"""Replicas in one process over a real Redis: each step is taken by hand, so that every order of
events can be tried.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from sidecar.fleet.member import FleetMember, member
from sidecar.fleet.redis_store import RedisStore
from sidecar.fleet.sharing import StoreError, packed, unpacked
from sidecar.policy.terms import PolicyError
from sidecar.revisions import Revisions
from sidecar.revisions.decision import FleetDecision, Overtaken
from sidecar.revisions.history import OrderRefused
from sidecar.rollout.causes import Causes
from sidecar.rollout.evidence import EvidenceStore
from sidecar.runtime.fleet_evidence import FleetEvidence
from tests.fleet.server import Server
from tests.harness import BAD, Harness, edited, sent, text
from tests.listening import listening


class Replica(Harness):
    """One replica; `look` is one look at the store."""

    made: Revisions
    fleet: FleetMember

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder)
        self.url = url

    async def start(self) -> Replica:
        """A new process over the same folder."""
        if hasattr(self, "fleet"):
            await self.fleet._store.close()
        made = self.process()
        self.fleet = FleetMember("shop", RedisStore(self.url, "shop"), self.telemetry)
        made._fleet = made.journal._fleet = self.fleet
        await made.start()
        self.made = made
        return self

    async def look(self) -> None:
        """As `run` does all the time."""
        try:
            await self.fleet._look(self.made)
        except StoreError as error:
            self.fleet._lost(error)

    def journal(self) -> list[str]:
        """The events of the local journal."""
        return [entry["event"] for entry in self.made.history()]

    @property
    def stands(self) -> tuple[int, str, str]:
        """Version, what clients get, mode."""
        return self.fleet.version, sent(self.made), self.made.mode


Begin = Callable[..., Awaitable[Replica]]


@pytest.fixture
async def begin(store: Server, tmp_path: Path) -> AsyncIterator[Begin]:
    """Start replicas by name."""
    made: list[Replica] = []

    async def begun(name: str, content: str = text(), url: str = store.url) -> Replica:
        replica = Replica(tmp_path / name, url)
        replica.file.write_text(content)
        made.append(await replica.start())
        return replica

    yield begun
    for replica in made:
        await replica.fleet.close()


async def test_the_loser_of_a_race_learns_what_won(begin: Begin):
    """Both decide from the same version: one stands, the other changes nothing and learns who,
    what and why.
    """
    a, b = await begin("a"), await begin("b")
    await a.made.set_mode("report-only", who="anna", reason="look first")

    with pytest.raises(
        Overtaken, match=r"mode report-only by anna on .*: look first \(version 2\)"
    ):
        await b.made.set_mode("off", who="bob")
    assert b.stands == (1, "DENY", "enforce")
    await b.look()
    assert b.stands == a.stands == (2, "-", "report-only")


async def test_only_one_of_many_at_once_wins(begin: Begin):
    """Compare and set, by the store itself."""
    replicas = [await begin(name) for name in "abcdef"]
    orders = [replica.made.set_mode("off", who=str(n)) for n, replica in enumerate(replicas)]
    given = await asyncio.gather(*orders, return_exceptions=True)

    assert sorted(type(one).__name__ for one in given) == ["Overtaken"] * 5 + ["str"]


async def test_the_same_at_once_is_no_quarrel(begin: Begin):
    """Two replicas that read the same new file publish one decision."""
    a, b = await begin("a"), await begin("b")

    assert await edited(a, a.made, text("SAMEORIGIN")) == "activated"
    assert await edited(b, b.made, text("SAMEORIGIN")) == "activated"
    assert a.stands == b.stands == (2, "SAMEORIGIN", "enforce")


async def test_a_rollback_while_the_store_is_away_holds_at_once_and_is_published(
    begin: Begin, store: Server
):
    """The store comes back empty: what was decided meanwhile is in it, and everywhere."""
    a, b = await begin("a"), await begin("b")
    await edited(a, a.made, text("SAMEORIGIN"))
    await b.look()
    store.kill()

    await a.made.rollback(who="anna", reason="broke")
    assert (a.stands, a.fleet.pending) == ((3, "DENY", "enforce"), True)
    assert a.value("sidecar_fleet_connected", "shop") == 0
    await b.look()
    assert b.stands == (2, "SAMEORIGIN", "enforce")
    store.start()
    for replica in (b, a, b):
        await replica.look()
    assert a.stands == b.stands == (3, "DENY", "enforce")
    assert (a.fleet.pending, a.value("sidecar_fleet_connected", "shop")) == (False, 1)
    assert b.made.history()[-1]["reason"] == "broke"


async def test_the_newest_decision_wins_by_version(begin: Begin, store: Server):
    """Two decisions here beat one there, whichever came later; the loser's journal keeps what
    was lost, and says so.
    """
    a, b = await begin("a"), await begin("b")
    store.kill()
    await a.made.set_mode("report-only", who="anna")
    await a.made.set_mode("trial", who="anna")
    await b.made.set_mode("off", who="bob")
    store.start()

    for replica in (b, a, b):
        await replica.look()
    assert a.stands == b.stands == (3, "-", "trial")
    assert b.journal()[-2:] == ["mode.overridden", "decision.followed"]
    assert a.journal()[-1] == "decision.superseded"
    assert "mode off by bob" in a.made.history()[-1]["lost"]


async def test_of_two_with_one_version_the_stores_wins(begin: Begin, store: Server):
    """Who comes back first."""
    a, b = await begin("a"), await begin("b")
    store.kill()
    await a.made.set_mode("report-only", who="anna")
    await b.made.set_mode("off", who="bob")
    store.start()

    for replica in (b, a, b):
        await replica.look()
    assert a.stands == b.stands == (2, "-", "off")
    assert a.journal()[-1] == "decision.superseded"


@pytest.mark.parametrize("running", [True, False])
async def test_two_decisions_of_one_version_do_not_live_side_by_side(
    begin: Begin, store: Server, running: bool
):
    """The store forgets one that had been shared, and is given another: whoever has the first
    gives way, and its journal says so.
    """
    a, b = await begin("a"), await begin("b")
    await a.made.set_mode("report-only", who="anna", reason="first")
    store.client.flushall()
    await b.look()
    await b.made.set_mode("off", who="bob", reason="second")
    assert (a.fleet.version, b.fleet.version) == (2, 2)

    if not running:
        await a.start()
    await a.look()
    assert a.stands == b.stands == (2, "-", "off")
    assert [entry for entry in a.made.history() if "first" in str(entry.get("lost"))]
    await a.look()
    assert a.journal().count("decision.superseded") == 1


async def test_a_restart_while_the_store_is_away_forgets_nothing(begin: Begin, store: Server):
    """A pending decision survives the process, and is published by the next one."""
    a, b = await begin("a"), await begin("b")
    await edited(a, a.made, text("SAMEORIGIN"))
    await b.look()
    store.kill()
    await a.made.rollback()
    await a.start()
    assert (a.stands, a.made.pinned is not None) == ((3, "DENY", "enforce"), True)
    store.start()
    for replica in (a, b, b):  # the first look finds that its connection is gone
        await replica.look()

    assert b.stands == (3, "DENY", "enforce")


async def test_what_a_store_has_forgotten_is_published_again(begin: Begin, store: Server):
    """FLUSHALL changes nothing in force; version, text and replicas are in it again, and a new
    replica starts with them.
    """
    a, b = await begin("a"), await begin("b")
    await edited(a, a.made, text("SAMEORIGIN"))
    await b.look()
    store.client.flushall()
    new = await begin("new")
    assert new.stands == (1, "DENY", "enforce")

    for replica in (b, a, new):
        await replica.look()
    assert a.stands == b.stands == new.stands == (2, "SAMEORIGIN", "enforce")
    assert (await begin("newer")).stands == (2, "SAMEORIGIN", "enforce")


async def test_a_slow_store_holds_nothing_up(begin: Begin, store: Server):
    """Stopped in the middle: an order holds here, and reaches the others when it goes on."""
    a, b = await begin("a"), await begin("b")
    store.child.signal(signal.SIGSTOP)

    await a.made.set_mode("report-only")
    assert (a.stands, a.fleet.trouble) == ((2, "-", "report-only"), "the store is too slow")
    store.child.signal(signal.SIGCONT)
    await a.look()
    await b.look()
    assert b.stands == (2, "-", "report-only")


def _decision(**more: object) -> str:
    who = {"who": "x", "reason": "", "replica": "y", "version": 9}
    data = asdict(FleetDecision("abc", BAD, None, None, None, "policy.activated", **who))
    return json.dumps(data | more)


@pytest.mark.parametrize(
    ("version", "data"),
    [
        ("9", ""),
        ("9", "{"),
        ("9", "[" * 100_000),
        ("9", "null"),
        ("x", _decision()),
        ("-1", _decision()),
        ("0", _decision(version=0)),
        ("9", _decision(version=8)),
        ("9", _decision(override={"mode": "enforce"})),
        ("9", _decision(text=1)),
        ("9" * 400, _decision()),
    ],
)
async def test_garbage_in_the_store_changes_nothing(
    begin: Begin, store: Server, version: str, data: str
):
    """It counts as a store that cannot be used: orders hold here; when the key is gone, all is
    well again.
    """
    a = await begin("a")
    store.client.hset(store.key("decision"), mapping={"version": version, "data": data})

    await a.look()
    assert (a.stands, a.fleet.connected) == ((1, "DENY", "enforce"), False)
    assert await a.made.set_mode("report-only") == "report-only"
    store.client.delete(store.key("decision"))
    await a.look()
    assert a.fleet.connected
    assert store.client.hget(store.key("decision"), "version") == "2"


@pytest.mark.parametrize("content", [BAD, text("SAMEORIGIN"), ""])
async def test_a_text_that_is_not_what_it_says_is_refused(
    begin: Begin, store: Server, content: str
):
    """No policy, or another one: the event says so once, what is in force stays, and the lag is
    seen.
    """
    a = await begin("a")
    store.client.hset(
        store.key("decision"), mapping={"version": 9, "data": _decision(text=content)}
    )

    await a.look()
    await a.look()
    assert a.stands == (1, "DENY", "enforce")
    assert a.names().count("decision.refused") == 1
    with pytest.raises(Overtaken):
        await a.made.set_mode("off")
    assert (await begin("b")).stands[1:] == ("DENY", "enforce")


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$99999999999\r\nx",
        b"\x00" * 9,
        b"*-7\r\n",
        b"-ERR no\r\n",
        b"",
    ],
)
async def test_another_server_in_its_place_changes_nothing(begin: Begin, reply: bytes):
    """Whatever answers there: the replica starts with its file and obeys orders."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(reply)

    async with listening(answer) as port:
        a = await begin("a", url=f"redis://127.0.0.1:{port}")

        assert (a.stands, a.fleet.connected) == ((1, "DENY", "enforce"), False)
        assert await a.made.set_mode("off") == "off"


async def test_a_read_only_store_is_followed(begin: Begin, store: Server):
    """Decisions are read from a replica of the store; what cannot be written is decided here."""
    a, b = await begin("a"), await begin("b")
    await a.made.set_mode("report-only")
    store.client.execute_command("REPLICAOF", "127.0.0.1", "1")

    await b.look()
    assert (b.stands, b.fleet.connected) == ((2, "-", "report-only"), False)
    store.client.execute_command("REPLICAOF", "NO", "ONE")


async def test_an_override_ends_by_each_clock(begin: Begin):
    """Its time being over is no new decision."""
    a, b = await begin("a"), await begin("b")
    await a.made.set_mode("off", ttl=60)
    await b.look()
    for replica in (a, b):
        replica.now += 61
        await replica.made.tick()

    assert a.stands == b.stands == (2, "DENY", "enforce")


async def test_a_guard_that_comes_second_takes_nothing_back_again(begin: Begin):
    """Every replica sees the breach; one rollback is enough, whether they see it at once or one
    after another.
    """
    a, b = await begin("a"), await begin("b")
    await edited(a, a.made, text("SAMEORIGIN"))
    await b.look()
    left = b.made.current.id
    await a.made.rollback(who="guard", cause="guard", leaving=left)

    await b.made.rollback(who="guard", cause="guard", leaving=left)
    await b.look()
    with pytest.raises(Overtaken, match="not in force any more"):
        await b.made.rollback(who="guard", cause="guard", leaving=left)
    assert a.stands == b.stands == (3, "DENY", "enforce")


async def test_the_texts_are_bounded(begin: Begin, store: Server):
    """The latest hundred are kept; the one in force always."""
    a = await begin("a")
    for number in range(110):
        await edited(a, a.made, text("DENY", comment="").replace("DENY", f"V{number}"))

    assert store.client.hlen(store.key("texts")) == store.client.zcard(store.key("order")) == 100
    assert store.client.hexists(store.key("texts"), a.made.current.id)
    assert len(await a.fleet._store.journal(500)) == 111


async def test_a_rollback_to_nothing_is_refused_as_ever(begin: Begin):
    """The fleet changes nothing about what can be gone back to."""
    with pytest.raises(OrderRefused, match="no earlier revision"):
        await (await begin("a")).made.rollback()


def test_a_password_is_never_quoted():
    """Neither in the error about a wrong URL, nor in the trouble of a store that is away."""
    from sidecar.runtime.settings_file import layered

    with pytest.raises(PolicyError) as wrong:
        layered({"fleet": {"url": "http://u:secret@h"}}, {}, {})
    assert "secret" not in str(wrong.value)


def test_a_fleet_wants_a_name():
    """Two services that forget it would take each other's policy."""
    from sidecar.runtime.settings_file import layered

    with pytest.raises(PolicyError, match=r"needs fleet\.name"):
        layered({}, {"SIDECAR_FLEET__URL": "redis://localhost"}, {})


async def test_the_trouble_names_no_password(harness: Harness):
    """The reason of the client is given, without the URL."""
    harness.process()
    made: Any = member("redis://u:secret@127.0.0.1:1/0", "shop", harness.telemetry)
    assert await made.join(None, lambda _: None) is None

    assert made.trouble
    assert "secret" not in made.trouble
    assert not [line for line in harness.lines.events if "secret" in str(line)]
    await made.close()


def _canary(replica: Replica) -> list[str]:
    """The two ways of a canary that this replica signed."""
    lines = replica.telemetry.trials._canary("chromium", by_api=True).decode()
    found = re.findall(r"/reports/canary/([^\s;\"]+)", lines)
    assert len(found) == 2
    return found


async def test_a_canary_counts_wherever_its_reports_come(begin: Begin):
    """Sent by one, back by two others, each by one way: counted once, by the fleet's secret; a
    way that comes twice is none.
    """
    a, b = await begin("a"), await begin("b")
    ways = _canary(a)
    for replica, way in ((b, ways[0]), (b, ways[0]), (a, ways[0]), (a, ways[1]), (b, ways[1])):
        replica.telemetry.trials.returned(way)
        await replica.look()

    back = [one.value("sidecar_canaries_returned_total", "chromium") for one in (a, b)]
    assert sorted(back) == [0, 1]


async def test_a_canary_counts_while_the_store_is_away(begin: Begin, store: Server):
    """By what is known here."""
    a = await begin("a")
    ways = _canary(a)
    store.kill()
    for way in ways:
        a.telemetry.trials.returned(way)
    await a.look()
    a.fleet.sharing.alone()
    assert a.value("sidecar_canaries_returned_total", "chromium") == 1


async def test_the_secret_of_canaries_is_one(begin: Begin, store: Server):
    """Also after the store has forgotten it; canaries signed before count still."""
    a, b = await begin("a"), await begin("b")
    before = _canary(b)
    store.client.set(store.key("secret"), "00ff")
    for replica in (a, b):
        await replica.look()
    assert a.telemetry.trials.secret == b.telemetry.trials.secret == b"\x00\xff"
    for way in before:
        a.telemetry.trials.returned(way)
    await a.look()
    assert a.value("sidecar_canaries_returned_total", "chromium") == 1


@pytest.mark.parametrize("held", ["", "{", "AAAA", "eJwDAAAAAAE=", packed({"evidence": None})])
async def test_garbage_among_the_evidence_is_left_out(begin: Begin, store: Server, held: str):
    """Whatever another replica said."""
    a = await begin("a")
    store.client.hset(store.key("evidence"), "x", held)
    store.client.zadd(store.key("reported"), {"x": int(store.client.time()[0])})
    others, silent, alive = await a.fleet.sharing.gather()

    assert (set(others), silent, alive) == ({"x"}, [], 0)
    assert not (unpacked(others["x"].data) or {}).get("evidence")


async def test_the_evidence_of_replicas_that_are_gone_is_bounded(begin: Begin, store: Server):
    """Two hundred of them, for two weeks."""
    a = await begin("a")
    now = int(store.client.time()[0])
    for number in range(205):
        store.client.hset(store.key("evidence"), f"r{number}", packed({}))
        store.client.zadd(store.key("reported"), {f"r{number}": now - number})
    store.client.hset(store.key("evidence"), "old", packed({}))
    store.client.zadd(store.key("reported"), {"old": now - 15 * 86_400})
    await a.fleet.sharing.report()

    assert (
        store.client.hlen(store.key("evidence")) == store.client.zcard(store.key("reported")) == 200
    )
    assert store.client.hexists(store.key("evidence"), a.fleet.replica)
    assert not store.client.hexists(store.key("evidence"), "old")


async def test_votes_of_the_guard_are_of_one_decision(begin: Begin, store: Server):
    """Each replica has one, an earlier decision's do not count, and neither do those from before
    the window.
    """
    a, b = await begin("a"), await begin("b")
    for replica in (a, b):
        await replica.look()
    assert await a.fleet.sharing.vote("2", 60) == (1, 2)
    assert await a.fleet.sharing.vote("2", 60) == (1, 2)
    assert await b.fleet.sharing.vote("3", 60) == (1, 2)
    store.client.zadd(store.key("breach:2"), {"gone": int(store.client.time()[0]) - 61})
    assert await b.fleet.sharing.vote("2", 60) == (2, 2)
    assert 0 < store.client.ttl(store.key("breach:2")) <= 120


async def test_a_guard_that_cannot_ask_decides_alone(begin: Begin, store: Server):
    """A quorum holds nothing up while the store is away."""
    a = await begin("a")
    evidence = FleetEvidence(EvidenceStore(a.metrics), Causes(), AsyncMock())
    evidence.member = a.fleet
    assert "fleet.quorum asks for 2" in await evidence.lacking(2, 60.0)
    store.kill()
    assert await evidence.lacking(2, 60.0) == ""


@pytest.mark.parametrize("key", ["asked", "secret", "evidence", "reported", "replicas", "seen"])
async def test_garbage_beside_the_decision_keeps_no_decision_back(
    begin: Begin, store: Server, key: str
):
    """What is decided is followed all the same, by way of a store that counts as one that cannot
    be used.
    """
    a, b = await begin("a"), await begin("b")
    store.client.delete(store.key(key))
    store.client.rpush(store.key(key), "garbage")
    for replica in (a, b):
        await replica.look()
    await a.made.set_mode("report-only", who="anna")
    for replica in (a, b):
        await replica.look()
    assert a.stands == b.stands == (2, "-", "report-only")
    assert a.fleet.pending is b.fleet.pending is False
    assert a.fleet.connected is (key == "asked")


async def test_garbage_in_place_of_the_decision_is_named(begin: Begin, store: Server):
    """The trouble says which key to delete."""
    a = await begin("a")
    store.client.delete(store.key("decision"))
    store.client.rpush(store.key("decision"), "garbage")
    await a.look()
    assert store.key("decision") in a.fleet.trouble


@pytest.mark.parametrize(
    "held",
    [
        {},
        {"version": "x"},
        {"version": None, "pending": 1, "shared": 1, "replica": 1, "mark": [], "said": []},
        {"version": 1, "pending": 1, "shared": 1, "replica": 1, "said": 5},
    ],
)
async def test_a_state_that_somebody_edited_is_no_obstacle(begin: Begin, held: dict[str, Any]):
    """The replica starts, and follows the fleet."""
    a, b = await begin("a"), await begin("b")
    await b.made.set_mode("report-only")
    state = json.loads((a.state / "state.json").read_bytes())
    (a.state / "state.json").write_text(json.dumps(state | {"fleet": {"name": "shop"} | held}))

    assert (await a.start()).stands == b.stands
