"""Kill -9 at random points of everything that is kept: `python -m tests.rollout.crash --times 500`.

Each round forks a child that activates, rolls back, overrides and records as fast as it can, saying
aloud what it was reported is kept; the parent kills it somewhere in between, opens the folder and
compares.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from sidecar.revisions import Revisions
from sidecar.revisions.entries import Retention
from sidecar.revisions.history import OrderRefused
from sidecar.revisions.store import Store
from sidecar.rollout.promotion import promote
from sidecar.source import load_policy
from sidecar.telemetry import Events, Metrics, Telemetry

POLICY = """\
version: 1
name: p{number}
owner: me
expected: it holds
rollback: sidecar rollback
mode: enforce
rules:
  mark: {{header: X-Mark, action: set, value: "{number}", mode: report-only}}
"""


KEPT = 10
"""Entries that a compaction leaves at least; what was promised before may be gone."""


class Nowhere:
    """A sink for events that nobody reads."""

    dropped = 0

    def write(self, line: str) -> None:
        """Forget it."""


def revisions(folder: Path) -> Revisions:
    """The revisions of one process over this folder."""
    return Revisions(
        folder / "policy.yaml",
        Store(folder / "state"),
        Telemetry(Events(Nowhere()), Metrics(process=False)),
    )


async def work(folder: Path, said: int, seed: int) -> None:
    """Change things for ever; each acknowledged entry is said on the pipe, after the call
    returned.
    """
    rng = random.Random(seed)
    kept = revisions(folder)
    await kept.start()
    os.write(said, b"\n")
    for number in range(1_000_000):
        order = rng.choice(
            ("activate", "activate", "promote", "rollback", "mode", "record", "compact")
        )
        mark = f"{seed}-{number}"
        if order == "activate":
            (folder / "policy.yaml").write_text(POLICY.format(number=mark))
            if await kept.reload(mark, unpin=True) != "activated":
                continue
        elif order == "promote":
            text = (folder / "policy.yaml").read_text()
            if not text.startswith("version") or not text.endswith("\n"):
                continue  # the child before was killed inside this file
            beside = folder / "policy.new"
            beside.write_text(promote(text, ["mark"]))
            beside.replace(folder / "policy.yaml")
            if await kept.reload(mark) != "activated":
                continue
        elif order == "rollback":
            try:
                await kept.rollback(who=mark)
            except OrderRefused:
                continue
        elif order == "mode":
            await kept.set_mode(rng.choice(("report-only", "enforce")), who=mark)
        elif order == "compact":
            kept._store.compact(Retention(KEPT, 3600.0, time.time()))
            continue
        else:
            await kept.journal.record({"event": "policy.suggested", "who": mark, "rules": ["mark"]})
        os.write(said, f"{mark}\n".encode())


def round_of(folder: Path, seed: int) -> int:
    """One child, killed somewhere; returns how many entries it had been promised."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            asyncio.run(work(folder, writing, seed))
        except BaseException as error:  # noqa: BLE001
            os.write(writing, f"ERROR {error!r}\n".encode())
        os._exit(1)
    os.close(writing)
    assert os.read(reading, 1) == b"\n", "it has started"
    time.sleep(random.Random(seed).uniform(0.005, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        promised = [line.decode() for line in pipe.read().splitlines()]
    assert not [line for line in promised if line.startswith("ERROR")], promised
    judge(folder, promised)
    return len(promised)


def judge(folder: Path, promised: list[str]) -> None:
    """The folder opens, what was promised is there, and a policy that is whole comes in force."""
    store = Store(folder / "state")
    state = store.open()
    entries = store.journal()
    raw = (
        (folder / "state" / "journal.jsonl").read_bytes()
        if (folder / "state" / "journal.jsonl").exists()
        else b""
    )
    assert all(json.loads(line) for line in raw.splitlines())
    assert not list((folder / "state").rglob(".tmp-*"))
    names = {entry["who"] for entry in entries}
    assert set(promised[-KEPT:]) <= names, set(promised[-KEPT:]) - names
    if state:
        text = store.text(state["active"])
        assert text is not None
        load_policy(text.encode(), "kept")
    for path in (folder / "state" / "revisions").glob("*.yaml"):
        load_policy(path.read_bytes(), path.name)


def main() -> int:
    """Run the rounds; 0 when nothing was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    data = parser.parse_args()
    promised = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "policy.yaml").write_text(POLICY.format(number="first"))
        for number in range(data.times):
            promised += round_of(folder, data.seed * 100_000 + number)
        last = revisions(folder)
        asyncio.run(last.start())
        assert last.active.plan.routes
    sys.stdout.write(f"{data.times} kills, {promised} promised entries, none lost\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
