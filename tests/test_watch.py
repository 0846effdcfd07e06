"""The watch over the policy file: every way of saving, on a real file system."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.revisions import Revisions, policy_file
from tests.harness import Harness, sent, text
from tests.patience import PATIENCE


def in_place(file: Path, content: str) -> None:
    """As an editor that writes over."""
    file.write_text(content)


def by_rename(file: Path, content: str) -> None:
    """As an editor that writes beside and renames."""
    beside = file.with_suffix(".new")
    beside.write_text(content)
    beside.replace(file)


def same_time_and_size(file: Path, content: str) -> None:
    """As a copy that keeps the times, of a text as long as the old one."""
    before = file.stat()
    file.write_text(content.replace("SAMEORIGIN", "ALLO"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_data_link(file: Path, content: str) -> None:
    """As Kubernetes mounts a ConfigMap: policy.yaml -> ..data/policy.yaml, ..data -> a dated
    folder, swapped whole.
    """
    folder = file.parent
    new = folder / f"..{len(list(folder.iterdir()))}"
    new.mkdir()
    (new / "policy.yaml").write_text(content)
    (folder / "..data_tmp").symlink_to(new.name)
    (folder / "..data_tmp").replace(folder / "..data")
    if not file.is_symlink():
        file.unlink()
        file.symlink_to("..data/policy.yaml")


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch looks a hundred times a second."""
    monkeypatch.setattr(policy_file, "POLL", 0.01)
    monkeypatch.setattr(policy_file, "SETTLE", 0.005)


@contextlib.asynccontextmanager
async def watched(
    harness: Harness, made: Revisions
) -> AsyncIterator[Callable[[str], Awaitable[dict[str, Any]]]]:
    """The watch runs; gives a call that waits for the next event of a name."""
    data: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    leave = harness.telemetry.watch(data.put_nowait)
    task = asyncio.create_task(made.watch())

    async def event(name: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await data.get()
                if found["event"] == name:
                    return found

    try:
        yield event
    finally:
        task.cancel()
        leave()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("save", [in_place, by_rename, same_time_and_size, by_data_link])
@pytest.mark.usefixtures("fast")
async def test_the_watch_sees_every_way_of_saving(
    harness: Harness, save: Callable[[Path, str], None]
):
    """Content is compared, not names, times or notifications; twice, because the second time may
    differ.
    """
    save(harness.file, text())
    made = await harness.started()
    async with watched(harness, made) as event:
        save(harness.file, text("SAMEORIGIN"))
        assert (await event("policy.activated"))["who"] == "file"
        assert sent(made) in ("SAMEORIGIN", "ALLO")
        save(harness.file, text("NOW1"))
        await event("policy.activated")
        assert sent(made) == "NOW1"


@pytest.mark.usefixtures("fast")
async def test_the_watch_tells_a_deletion_once_and_takes_the_file_back(harness: Harness):
    """A file that is away for a while, as in a deployment, changes nothing in force."""
    made = await harness.started()
    async with watched(harness, made) as event:
        harness.file.unlink()
        await event("policy.rejected")
        assert sent(made) == "DENY"
        harness.file.write_text(text("SAMEORIGIN"))
        await event("policy.activated")
        assert (sent(made), harness.names().count("policy.rejected")) == ("SAMEORIGIN", 1)


@pytest.mark.usefixtures("fast")
async def test_the_watch_survives_a_half_written_file(harness: Harness):
    """A truncated text is refused, and the whole one is taken when it is there."""
    made = await harness.started()
    whole = text("SAMEORIGIN")
    async with watched(harness, made) as event:
        harness.file.write_text(whole[: whole.index("value")])
        await event("policy.rejected")
        assert sent(made) == "DENY"
        harness.file.write_text(whole)
        await event("policy.activated")
        assert sent(made) == "SAMEORIGIN"


@pytest.mark.usefixtures("fast")
async def test_the_watch_keeps_a_pin(harness: Harness):
    """The rolled-back content is not put in force again, however often it is saved; new content
    is.
    """
    made = await harness.started()
    async with watched(harness, made) as event:
        harness.file.write_text(text("SAMEORIGIN"))
        await event("policy.activated")
        await made.rollback()
        harness.file.write_text(text("SAMEORIGIN", comment="saved again"))
        async with asyncio.timeout(PATIENCE):
            while harness.value("sidecar_config_reloads_total", "pinned") == 0:
                await asyncio.sleep(0.005)
        assert sent(made) == "DENY"
        harness.file.write_text(text("ALLOW"))
        await event("policy.activated")
        assert sent(made) == "ALLOW"


@pytest.mark.usefixtures("fast")
async def test_the_watch_waits_while_somebody_is_still_writing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
):
    """Only what looks the same twice is read, and what a reload has read meanwhile is not read
    again.
    """
    made = await harness.started()
    looks = iter(["a", "b", "c", "c", "c", "d", "d"])
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    read: list[str] = []

    def look() -> str:
        look_ = next(looks, None)
        if look_ is None:
            loop.call_soon_threadsafe(ended.set)
            return str(made._policy_file.seen)
        return str(look_)

    async def reload(who: str, *, unpin: bool) -> str:
        read.append(who)
        made._policy_file.seen = "c" if len(read) == 1 else "d"
        return "unchanged"

    monkeypatch.setattr(made._policy_file, "fingerprint", look)
    monkeypatch.setattr(made, "_reload", reload)
    task = asyncio.create_task(made.watch())
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    task.cancel()

    assert read == ["file", "file"]


@pytest.mark.usefixtures("fast")
async def test_the_loop_sleeps_while_the_file_stays_as_it_is(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
):
    """An idle process costs nothing: the looks at the file do not wake the loop that serves."""
    made = await harness.started()
    loop, looked, looks, turns = asyncio.get_running_loop(), asyncio.Event(), 0, 0
    look, turn = made._policy_file.fingerprint, loop._run_once

    def counted() -> str:
        nonlocal looks
        looks += 1
        if looks == 30:
            loop.call_soon_threadsafe(looked.set)
        return look()

    def turned() -> None:
        nonlocal turns
        turns += 1
        turn()

    monkeypatch.setattr(made._policy_file, "fingerprint", counted)
    monkeypatch.setattr(loop, "_run_once", turned)
    async with watched(harness, made), asyncio.timeout(PATIENCE):
        await looked.wait()

    assert turns < 30


@pytest.mark.usefixtures("fast")
async def test_a_reload_while_the_watch_settles_is_not_repeated(harness: Harness):
    """SIGHUP and the watch see the same save; it is put in force once."""
    made = await harness.started()
    async with watched(harness, made) as event:
        harness.file.write_text(text("SAMEORIGIN"))
        await made.reload()
        await event("policy.activated")
        harness.file.write_text(text("ALLOW"))
        await event("policy.activated")

    assert harness.value("sidecar_config_reloads_total", "unchanged") == 0
    assert harness.value("sidecar_config_reloads_total", "activated") == 3
