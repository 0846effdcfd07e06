"""What the figures were taken on: processor, kernel, versions of the peers, and who else was at
work.

Names no host and no path.
"""

import os
import platform
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from .peers import Peer
from .process import Cores

VERSION = re.compile(r"\d+(?:\.\d+)+")


def version(peer: Peer) -> str:
    """Its name and what it says of its version; the name alone where it says nothing."""
    if not peer.version or peer.missing():
        return peer.name
    done = subprocess.run(peer.version, capture_output=True, text=True, timeout=30, check=False)
    found = VERSION.search(done.stdout + done.stderr)
    return f"{peer.name} {found[0]}" if found else peer.name


def processor(info: str) -> str:
    """The model, and whether it is a virtual machine's, from the text of /proc/cpuinfo."""
    rows = {
        name.strip(): value.strip()
        for name, _, value in (line.partition(":") for line in info.splitlines())
    }
    virtual = ", virtual machine" if "hypervisor" in rows.get("flags", "").split() else ""
    return rows.get("model name", platform.machine()) + virtual


def interpreter() -> str:
    """Its version, and how it was built: a distribution's is fast, as those of the images are."""
    version = f"Python {platform.python_version()}"
    if sys.base_prefix == "/usr":  # what it says of its flags is true of its shared library only
        return f"{version} of {platform.freedesktop_os_release()['NAME']}"
    built = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return version if built else f"{version}, built without optimizations"


def described(peers: Sequence[Peer], cores: Cores, seconds: float, others: float) -> str:
    """One paragraph; ``others`` are the cores that others kept busy on average.

    Their work bends the figures: latency first, CPU time of a request least.
    """
    versions = ", ".join(version(peer) for peer in peers if peer.version)
    shared = (
        " The load shares the proxy's core: these figures are not clean." if cores.shared else ""
    )
    return (
        f"{time.strftime('%Y-%m-%d')}; {processor(Path('/proc/cpuinfo').read_text())},"
        f" {os.cpu_count()} cores, Linux {platform.release()}, {interpreter()};"
        f" {versions}. The proxy on core {cores.proxy}, the load on {cores.load}, the service on"
        f" {cores.origin}. {seconds:.0f} s, in which others used {others:.2f} cores.{shared}"
    )
