"""Decisions that were acknowledged, whoever is killed: `python -m tests.fleet.killing [KILLS
[REPLICAS [SEED]]]` tries it.

Each turn gives one order, or two at once to two replicas (with the store killed before, so that
they decide apart), kills one to all of the replicas and the store with KILL while the order is on
its way or right after it was acknowledged, and starts them again; the store comes back empty. A
decision is lost if it was acknowledged and is, when the turn is over, neither in force on all
replicas nor named as given way in a journal, or if it is not in the journal of the replica that
acknowledged it.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.policy.terms import MODES
from tests.e2e.conftest import ENFORCED
from tests.e2e.processes import Service, until
from tests.e2e.running import Sidecar
from tests.fleet.server import Server

_KINDS = ("mode", "mode", "mode", "rollback", "reload")
_DELAY = 0.03
"""Seconds at most from an order to the kills, where they come while it is on its way."""


@dataclass
class Count:
    """What came of it all."""

    kills: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    refused: int = 0
    gave_way: int = 0
    lost: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    """Turns at whose end replicas did not agree in time."""

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.acknowledged} decisions acknowledged ({self.gave_way} of"
            f" them gave way to another and are named so), {self.unanswered} without a response,"
            f" {self.refused} refused: {len(self.lost)} lost, replicas apart after"
            f" {len(self.apart)} turns"
        )


class Killing:
    """A fleet, its store, and who is killed."""

    def __init__(
        self,
        store: Server,
        replicas: list[Sidecar],
        seed: int,
        said: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.count = Count()
        self._store = store
        self._replicas = replicas
        self._chance = random.Random(seed)
        self._said = said
        self._turns = 0

    def run(self, kills: int) -> Count:
        """Turn by turn until so many were killed."""
        while self.count.kills < kills:
            self._turn()
        return self.count

    def _turn(self) -> None:
        self._turns += 1
        chance, name = self._chance, f"turn-{self._turns}"
        apart = chance.random() < 0.25 and len(self._replicas) > 1
        asked = chance.sample(self._replicas, 2 if apart else 1)
        orders = {f"{name}-{number}": one for number, one in enumerate(asked)}
        if apart:
            self._store.kill()
            self.count.kills += 1
        victims = chance.sample(self._replicas, chance.randint(0, len(self._replicas)))
        store_dies = not apart and (not victims or chance.random() < 0.4)
        meanwhile = chance.random() < 0.5
        with ThreadPoolExecutor(len(orders)) as pool:
            running = {
                who: pool.submit(_order, one, who, chance.choice(_KINDS), chance.choice(MODES))
                for who, one in orders.items()
            }
            if meanwhile:
                time.sleep(chance.uniform(0, _DELAY))
            else:
                for one in running.values():
                    one.result()
            self._kill(victims, store=store_dies)
            done = {who: one.result() for who, one in running.items()}
        self._start(victims, store=store_dies or apart)
        self._judge(name, orders, done)
        self._said(
            f"{name}: {done}, {len(victims)} killed{', store' * (store_dies or apart)};"
            f" {self.count} {self.count.lost}"
        )

    def _kill(self, victims: list[Sidecar], *, store: bool) -> None:
        for one in victims:
            one.signal(signal.SIGKILL)
        if store:
            self._store.kill()
        for one in victims:
            one.child.wait()
        self.count.kills += len(victims) + store

    def _start(self, victims: list[Sidecar], *, store: bool) -> None:
        if store and self._chance.random() < 0.5:  # the store first, or the replicas
            self._store.start()
            store = False
        for one in victims:
            one.spawn()
        for one in victims:
            one.serves(one.event("service.started"))
        if store:
            self._store.start()

    def _judge(self, name: str, orders: dict[str, Sidecar], done: dict[str, int | None]) -> None:
        count = self.count
        acknowledged = [who for who, status in done.items() if status == 200]
        count.acknowledged += len(acknowledged)
        count.unanswered += sum(status is None for status in done.values())
        count.refused += sum(status not in (None, 200) for status in done.values())
        try:
            until(self._agree, f"{name}: all agree")
        except AssertionError:
            count.apart.append(f"{name}: {self._stands()}")
            return
        decided = {str(one.status()["fleet"]["decided"]) for one in self._replicas}
        journals = {one: (one.state / "journal.jsonl").read_text() for one in self._replicas}
        for who in acknowledged:
            gave_way = any(
                "decision.superseded" in line and who in line
                for text in journals.values()
                for line in text.splitlines()
            )
            holds = {other for other in orders if any(other in text for text in decided)}
            count.gave_way += who not in holds and gave_way
            if who not in journals[orders[who]]:
                count.lost.append(f"{who} is in no journal of who acknowledged it")
            elif who not in holds and not (gave_way and holds):
                count.lost.append(f"{who} is not in force, but {sorted(decided)}")

    def _agree(self) -> bool:
        return len(self._stands()) == 1 and all(
            one.status()["fleet"]["connected"] and not one.status()["fleet"]["pending"]
            for one in self._replicas
        )

    def _stands(self) -> set[tuple[object, ...]]:
        """What is in force, of each replica that differs; two who decided the same apart name
        each its own order.
        """
        found = set()
        for one in self._replicas:
            status = one.status()
            served = one.get("/").value("X-Policy-Mark")
            facts = (status[key] for key in ("revision", "mode", "pinned"))
            found.add((status["fleet"]["version"], *facts, served))
        return found


def _order(sidecar: Sidecar, who: str, kind: str, mode: str) -> int | None:
    """Order something; the status of the response, None where none came, 0 where nothing was
    decided.
    """
    try:
        if kind == "mode":
            return sidecar.order("/-/mode", mode=mode, reason=who).status
        if kind == "rollback":
            return sidecar.order("/-/rollback", reason=who).status
        response = sidecar.order("/-/reload", unpin=True, who=who)
        return response.status if response.json()["result"] == "activated" else 0
    except (OSError, EOFError, ValueError, AssertionError):
        return None


def main() -> None:
    """Numbers of the command line; exit code 1 when a decision was lost."""
    kills, replicas, seed = (
        [int(word) for word in sys.argv[1:]] + [200, 3, 1][len(sys.argv) - 1 :]
    )[:3]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        service = Service("fastapi", folder / "service")
        stack.callback(service.child.end)
        stack.callback(service.child.ask_to_end)
        store = Server(folder / "redis")
        stack.callback(store.close)
        fleet = []
        for number in range(replicas):
            settings = {"fleet": {"url": store.url, "name": "shop"}}
            made = Sidecar(folder / str(number), ENFORCED, service.url, settings=settings)
            stack.callback(made.stop)
            fleet.append(made.start())
        fleet[0].write(ENFORCED.replace("value: one", "value: two"))
        until(lambda: {one.status()["fleet"]["version"] for one in fleet} == {2}, "all have both")
        count = Killing(store, fleet, seed, lambda text: print(text, flush=True)).run(kills)
    print(f"{replicas} replicas, seed {seed}: {count}")
    for text in (*count.lost, *count.apart):
        print(text)
    sys.exit(1 if count.lost or count.apart else 0)


if __name__ == "__main__":
    main()
