"""Files written whole or not at all: readers see the old text or the new one, never a part.

The one way to write a file that stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from sidecar.policy.terms import PolicyError, Problem


class UnwritableError(PolicyError):
    """A file that somebody named cannot be written."""


BESIDE = ".tmp-"
"""How the names of unfinished files begin."""


def read_at_once(path: Path) -> bytes:
    """What a file holds; of a named pipe what is in it, as whoever waited for a writer might wait
    for ever. Raises OSError.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        return file.read() or b""


def replace_bytes(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write beside, sync, rename over, sync the folder; a file that is there keeps its permissions.

    Where the name cannot be taken over, as that of a single file that is mounted into a container,
    and where it is no plain file (`/dev/stdout`), the bytes are written in place.

    Args:
        path: which file; of a link its target.
        data: the whole content.
        mode: permissions of a new file, less the umask.

    Raises:
        OSError: the file holds what it held, unless it had to be written in place.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return
    beside = target.with_name(f"{BESIDE}{secrets.token_hex(6)}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            beside.chmod(target.stat().st_mode)
        try:
            beside.replace(target)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            target.write_bytes(data)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Let what names stand in a folder survive a crash; raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, text: str) -> None:
    """Write a text file as UTF-8, in the place of what is there.

    Raises:
        UnwritableError: no such folder, no permission, no space.
    """
    try:
        replace_bytes(path, text.encode())
    except OSError as error:
        said = f"it cannot be written: {error.strerror or error}"
        raise UnwritableError((Problem(said, "name another file", file=str(path)),)) from error


def edit_file(path: Path, before: str, after: str) -> None:
    """Write the edit of a text file, unless somebody else has edited it since it was read.

    Raises:
        PolicyError: it does not hold `before` any more.
        UnwritableError: as `write_file`.
    """
    try:
        held = path.read_bytes()
    except OSError as error:
        raise _changed(path) from error
    if held != before.encode():
        raise _changed(path)
    write_file(path, after)


def _changed(path: Path) -> PolicyError:
    fix = "nothing was written: give the same command again"
    return PolicyError((Problem("the file was changed meanwhile", fix, file=str(path)),))
