"""The state folder: what must survive a crash. Every write is whole or not there.

Layout: `state.json` and `evidence.json` (replaced by rename), `revisions/ID.yaml` (written once),
`journal.jsonl` (appended, synced line by line, each entry with the hash of the one before it; a
torn last line is cut when the folder is opened).
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sidecar.files import BESIDE, replace_bytes, sync_folder
from sidecar.revisions.entries import (
    START,
    Retention,
    gap,
    is_gap,
    kept_entries,
    kept_revisions,
    pruned,
    sealed,
)
from sidecar.settings import History
from sidecar.telemetry import Telemetry

_SHAPES = {"active": str, "pinned": str, "parents": dict, "override": dict, "fleet": dict}
_MODE = 0o600
"""Permissions of what is kept: policies and evidence are nobody else's matter."""


def claimed(folder: Path) -> int | None:
    """A descriptor that keeps the state folder for this process until it is closed or the process
    ends; None = another process has it.

    Raises:
        OSError: the folder cannot be written, or its file system has no locks.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    claim = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(claim)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return claim


class Store:
    """One state folder. Methods raise OSError when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._revisions = folder / "revisions"
        self._state = folder / "state.json"
        self._journal = folder / "journal.jsonl"
        self._head: str | None = None
        """The hash of the last entry; None = not read yet."""
        self._size = 0
        """Of the journal, when this store last wrote it."""
        self._lock = threading.Lock()

    def open(self) -> dict[str, Any]:
        """Make or repair the folder; returns the last saved state ({} = a new folder)."""
        self._make()
        for left in [*self.folder.glob(f"{BESIDE}*"), *self._revisions.glob(f"{BESIDE}*")]:
            left.unlink(missing_ok=True)
        self._repair_journal()
        self._head = None
        return self._saved_state()

    def holds_state(self) -> bool:
        """Whether the last saved state is there still: somebody may have deleted the folder."""
        return self._state.exists()

    def save_state(self, state: dict[str, Any]) -> None:
        """Replace the state, and make the folder again where it is gone."""
        self._make()
        replace_bytes(self._state, json.dumps(state, sort_keys=True, indent=1).encode(), _MODE)

    def save_evidence(self, evidence: dict[str, Any]) -> None:
        """Replace the evidence that the next start goes on from."""
        replace_bytes(self.folder / "evidence.json", json.dumps(evidence).encode(), _MODE)

    def evidence(self) -> object:
        """What `save_evidence` kept, None when there is nothing; "" for what cannot be read."""
        try:
            return json.loads((self.folder / "evidence.json").read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            return ""

    def save_text(self, revision: str, text: str) -> None:
        """Keep a revision's text; the latest text of one meaning wins."""
        data = text.encode()
        self._make()
        path = self._revisions / f"{revision}.yaml"
        if not path.exists() or path.read_bytes() != data:
            replace_bytes(path, data, _MODE)

    def revisions(self) -> list[str]:
        """The names of all kept revisions."""
        return [path.stem for path in self._revisions.glob("*.yaml")]

    def text(self, revision: str) -> str | None:
        """A kept revision's text, None when there is none."""
        if not revision.isalnum():
            return None
        try:
            return (self._revisions / f"{revision}.yaml").read_bytes().decode()
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def append(self, entry: dict[str, Any]) -> None:
        """Add one journal entry, sealed; when this returns, it stays."""
        with self._alone():
            new = not self._journal.exists()
            size = 0 if new else self._journal.stat().st_size
            if self._head is None:
                self._head = self._last_hash()
            elif size != self._size:
                self._head = self._followed(self._head)
            made = sealed(entry, self._head)
            try:
                with self._journal.open("ab") as file:
                    file.write(_line(made))
                    file.flush()
                    os.fsync(file.fileno())
                    self._size = file.tell()
            except OSError:
                with suppress(OSError):  # no next entry may stand on a part of this one
                    os.truncate(self._journal, size)
                raise
            self._head = made["hash"]
            if new:
                sync_folder(self.folder)

    def journal(self) -> list[dict[str, Any]]:
        """All entries, oldest first."""
        return [entry for entry, _ in self._lines()]

    def promotions(self) -> list[dict[str, Any]]:
        """The entries that name a promotion, oldest first. Every activation asks for them, so that
        none costs the memory of the whole journal.
        """
        return [entry for entry, _ in self._lines(b'"promotion"') if "promotion" in entry]

    def compact(self, bounds: Retention, *, starting: bool = False) -> tuple[int, int]:
        """Drop what is beyond the bounds and not needed; how many entries and revisions went.

        Journal and state are replaced whole, and texts go last: a crash leaves too much, never too
        little. `starting` = nothing holds the state in memory yet, so that it may be pruned too.
        """
        if not (state := self._saved_state()):
            return 0, 0
        with self._alone():
            lines = self._lines()
            entries = [entry for entry, _ in lines]
            places = kept_entries(entries, state, bounds)
            dropped = sum(not is_gap(entries[place]) for place in {*range(len(lines))} - {*places})
            if dropped:
                replace_bytes(self._journal, b"".join(_compacted(lines, {*places})), _MODE)
        written = {path.stem: path.stat().st_mtime for path in self._revisions.glob("*.yaml")}
        kept = kept_revisions([entries[place] for place in places], state, written, bounds)
        if starting and (less := pruned(state, kept)) != state:
            self.save_state(less)
        for revision in written.keys() - kept:
            (self._revisions / f"{revision}.yaml").unlink(missing_ok=True)
        return dropped, len(written) - len(kept)

    def _make(self) -> None:
        self._revisions.mkdir(parents=True, exist_ok=True, mode=0o750)

    def _saved_state(self) -> dict[str, Any]:
        """The last saved state; {} where there is none, less what somebody else wrote into it."""
        try:
            state = json.loads(self._state.read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        if not isinstance(state, dict):
            return {}
        found = {
            key: value
            for key, value in state.items()
            if key not in _SHAPES or value is None or isinstance(value, _SHAPES[key])
        }
        if parents := found.get("parents"):
            named = {name: up for name, up in parents.items() if isinstance(up, str | None)}
            found["parents"] = named
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While the journal is written: no entry is added to one that is being replaced, and
        another process that was started on the same folder waits.
        """
        with self._lock:
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(folder, fcntl.LOCK_EX)
                yield
            finally:
                os.close(folder)

    def _followed(self, head: str) -> str:
        """The hash of the last entry, where those behind `head` follow it one by one: another
        process wrote them. Else `head`, so that the break is seen.
        """
        last = ""
        for entry in self.journal():
            if last and entry.get("previous") != last:
                return head
            if last or entry.get("hash") == head:
                last = str(entry.get("hash", ""))
        return last or head

    def _last_hash(self) -> str:
        """The hash that the next entry holds. A last line that is no entry any more has one that no
        entry has, so that the chain is broken there.
        """
        lines = self._lines()
        last = self._journal.read_bytes().splitlines()[-1:] if self._journal.exists() else []
        if lines and lines[-1][1] == last[0]:
            return str(lines[-1][0].get("hash", START))
        return hashlib.sha256(last[0]).hexdigest() if last else START

    def _lines(self, holding: bytes = b"") -> list[tuple[dict[str, Any], bytes]]:
        """Each entry with its bytes, oldest first; only lines that hold these bytes are parsed."""
        found = []
        try:
            with self._journal.open("rb") as file:
                for line in (line.rstrip(b"\r\n") for line in file if holding in line):
                    try:
                        entry = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(entry, dict) and {"time", "event"} <= entry.keys():
                        found.append((entry, line))
        except FileNotFoundError:
            return []
        return found

    def _repair_journal(self) -> None:
        try:
            data = self._journal.read_bytes()
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            with self._journal.open("r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True).encode() + b"\n"


def _compacted(lines: list[tuple[dict[str, Any], bytes]], kept: set[int]) -> Iterator[bytes]:
    """The lines that stay, and one for each run of those that go."""
    run: list[dict[str, Any]] = []
    for place, (entry, line) in enumerate(lines):
        if place not in kept:
            run.append(entry)
            continue
        if run:
            yield _line(gap(run))
            run = []
        yield line + b"\n"
    if run:
        yield _line(gap(run))


EVERY: Final = 3600.0
"""Seconds between two compactions."""


class Compaction:
    """Calls `Store.compact`; what the disk refuses is reported, and stops nothing."""

    def __init__(self, store: Store, setting: History, telemetry: Telemetry) -> None:
        self._store, self._setting, self._telemetry = store, setting, telemetry
        self._done = 0.0

    async def tick(self, *, starting: bool = False) -> None:
        """Compact, when it is time or before the start."""
        if not starting and time.monotonic() - self._done < EVERY:
            return
        self._done = time.monotonic()
        bounds = Retention(self._setting.keep, self._setting.age, time.time())
        try:
            entries, revisions = await asyncio.to_thread(
                self._store.compact, bounds, starting=starting
            )
        except OSError as error:
            self._telemetry.emit("state.failed", level="error", detail=str(error))
            return
        if entries or revisions:
            self._telemetry.emit("state.compacted", entries=entries, revisions=revisions)
