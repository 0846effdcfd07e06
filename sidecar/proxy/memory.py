"""The allocator of a process that carries bodies: what is freed is kept for the next one.

glibc gives the top of the heap back to the system at each free of 128 KiB and asks for it again for
the next body; with large bodies that costs as much as carrying them.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

# malloc.h of glibc, mallopt(3).
_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3

KEPT: Final = 32 << 20
"""Free bytes at the top of the heap that stay ours."""
STEP: Final = 1 << 20
"""Bytes that the heap grows by at least."""
MAPPED: Final = 32 << 20
"""From so many bytes on an allocation is mapped alone, and given back when it is freed."""


def keep_freed_memory() -> bool:
    """Set the bounds for this process; False where there is no glibc (musl, macOS), whose
    allocators differ.
    """
    if not sys.platform.startswith("linux"):
        return False
    process = ctypes.CDLL(None)
    if not hasattr(process, "gnu_get_libc_version"):
        return False
    bounds = ((_TRIM_THRESHOLD, KEPT), (_TOP_PAD, STEP), (_MMAP_THRESHOLD, MAPPED))
    return all(process.mallopt(what, size) == 1 for what, size in bounds)
