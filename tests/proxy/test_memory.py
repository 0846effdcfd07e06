"""The allocator's bounds, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import ctypes
from sidecar.proxy.server import keep_freed_memory
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
assert keep_freed_memory()
bytes(3 << 20)
top = libc.sbrk(0)
for _ in range(20):
    bytes(3 << 20)
print(libc.sbrk(0) == top)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="another allocator: of another system, or AddressSanitizer's",
)
def test_the_heap_neither_shrinks_nor_grows_with_each_body() -> None:
    """Allocating and freeing what a body takes moves the end of the heap no more than once."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
