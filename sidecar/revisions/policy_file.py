"""The policy file: read, watched, and quoted at the place of a fault."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path

from sidecar.files import read_at_once
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.terms import PolicyError, Problem
from sidecar.source import load_policy

POLL = 0.4
SETTLE = 0.1


class PolicyFile:
    """One file, and what was last read of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen = ""
        """The hash of what was last read; "" = nothing could be read, or it must be read again."""
        self._text = ""

    async def load(self) -> tuple[Resolved, str]:
        """The policy and its text.

        Raises:
            PolicyError: it cannot be read, or is no policy.
        """
        try:
            data = await asyncio.to_thread(read_at_once, self.path)
        except OSError as error:
            self.seen, self._text = "", ""
            said = f"the policy cannot be read: {error.strerror or error}"
            fix = "sidecar init writes one" if isinstance(error, FileNotFoundError) else ""
            raise PolicyError((Problem(said, fix, file=str(self.path)),)) from error
        self.seen = hashlib.sha256(data).hexdigest()
        self._text = data.decode("utf-8-sig", "replace")
        return await asyncio.to_thread(load_policy, data, str(self.path)), self._text

    async def changed(self) -> str:
        """Wait until it holds something else, and nobody is writing any more; returns its hash.

        One thread waits and looks, so that the loop is not woken for each look.
        """
        left = threading.Event()
        try:
            return await asyncio.to_thread(self._changed, left)
        finally:
            left.set()

    def _changed(self, left: threading.Event) -> str:
        while not left.wait(POLL):
            first = self.fingerprint()
            if first != self.seen and not left.wait(SETTLE) and self.fingerprint() == first:
                return first
        return self.seen

    def excerpt(self, problem: Problem) -> str:
        """The line of the text last read with a caret under the place; "" when it is not known."""
        lines = self._text.splitlines()
        if not 0 < problem.line <= len(lines):
            return ""
        return f"{lines[problem.line - 1]}\n{' ' * (problem.column - 1)}^"

    def fingerprint(self) -> str:
        """The hash of what it holds now; "" when it cannot be read."""
        try:
            return hashlib.sha256(read_at_once(self.path)).hexdigest()
        except OSError:
            return ""
