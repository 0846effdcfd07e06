"""Proof that a started proxy does the same work as the others before it is measured.

Knows the demanded headers; must not know how any proxy is configured.
"""

import subprocess
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from .peers import REMOVE, SET

START_SECONDS = 10.0


class Unfit(Exception):
    """A proxy that did not start, or whose response is not the demanded one."""


def complaints(status: int, headers: Sequence[tuple[str, str]], body: int, size: int) -> list[str]:
    """What is wrong with a response: status, length, a header not set once, one not removed."""
    wrong = []
    if status != 200:
        wrong.append(f"status {status}")
    if body != size:
        wrong.append(f"{body} bytes of body instead of {size}")
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value)
    for name, value in SET.items():
        seen = values.get(name.lower(), [])
        if seen != [value]:
            wrong.append(f"{name} is {seen}")
    wrong += [f"{name} is still there" for name in REMOVE if name.lower() in values]
    return wrong


def ask(port: int, path: str, size: int) -> list[str]:
    """The complaints about one GET. Raises OSError or HTTPException while nobody responds."""
    connection = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = len(response.read())
        return complaints(response.status, response.getheaders(), body, size)
    finally:
        connection.close()


def await_fit(child: subprocess.Popen[bytes], log: Path, port: int, path: str, size: int) -> None:
    """Return once the response is the demanded one. Raises Unfit with the last reason known."""
    reason = "never asked"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            lines = log.read_text(errors="replace").split("\n")
            said = next((line for line in reversed(lines) if line.strip()), "nothing said")
            raise Unfit(f"exited {child.returncode}: {said.strip()[:200]}")
        try:
            wrong = ask(port, path, size)
        except (OSError, HTTPException) as error:
            wrong = [str(error) or type(error).__name__]
        if not wrong:
            return
        reason = "; ".join(wrong)
        time.sleep(0.05)
    raise Unfit(reason)
