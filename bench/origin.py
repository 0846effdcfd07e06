"""The services behind every proxy: nginx for pages, small ones from memory, and `sink.py` for
bodies and messages.

Must be much cheaper than any proxy, must not know which one stands before it.
Both send the two headers that every proxy has to remove.
"""

import getpass
import socket
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import free_port, running

VARIED = "varied"
"""A page of one KiB at any path below `/varied/`, whose cookie, entity tag and request id are
each time others.
"""
UNITS = {"k": 1 << 10, "m": 1 << 20}
IN_MEMORY = 2 << 10
"""Up to this many bytes a body stands in the configuration itself."""

CONFIG = """\
user {user};
daemon off;
worker_processes 1;
pid {folder}/origin.pid;
error_log {folder}/origin-error.log crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    server_tokens off;
    default_type text/html;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    open_file_cache max=100;
    open_file_cache_valid 1h;
    add_header X-Powered-By bench;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {folder};
{pages}
    }}
}}
"""

VARIED_PAGE = """\
        location /varied {{
            add_header X-Powered-By bench;
            add_header Set-Cookie "sid=$request_id; Path=/; HttpOnly";
            add_header ETag '"$request_id"';
            add_header X-Trace $request_id;
            add_header Cache-Control "private, max-age=60";
            return 200 "{body}";
        }}"""


def size_in_bytes(name: str) -> int:
    """``"1k"`` -> 1024, ``"10m"`` -> 10485760, ``"varied"`` -> 1024. Raises ValueError for
    anything else.
    """
    if name == VARIED:
        return 1024
    if name[-1:] not in UNITS or not name[:-1].isdecimal():
        raise ValueError(f"{name!r} is not a size such as 1k, 100k or 10m")
    return int(name[:-1]) * UNITS[name[-1]]


@contextmanager
def origin(folder: Path, sizes: Collection[str], core: int) -> Iterator[int]:
    """Serve ``/<size>`` for each size; yields the port."""
    port = free_port()
    pages = []
    for size in sizes:
        body = "x" * size_in_bytes(size)
        if size == VARIED:
            pages.append(VARIED_PAGE.format(body=body))
            continue
        if len(body) <= IN_MEMORY:
            pages.append(f'        location = /{size} {{ return 200 "{body}"; }}')
        else:
            (folder / size).write_text(body)
    config = folder / "origin.conf"
    config.write_text(
        CONFIG.format(user=getpass.getuser(), folder=folder, port=port, pages="\n".join(pages))
    )
    argv = ["nginx", "-e", f"{folder}/origin-error.log", "-c", str(config)]
    with running(argv, cores=[core], log=folder / "origin.log"):
        yield port


@contextmanager
def sink(folder: Path, core: int) -> Iterator[int]:
    """Take uploads and messages; yields the port."""
    port = free_port()
    script = Path(__file__).with_name("sink.py")
    argv = [sys.executable, str(script), str(port)]
    with running(argv, cores=[core], log=folder / "sink.log") as child:
        while child.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield port
