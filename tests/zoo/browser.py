"""Visitors: fresh browser contexts of one Chromium, and what a visit script may do in one of their
pages.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import connect

from tests.browser.chromium import Chromium, Tab
from tests.patience import PATIENCE

REFUSED = ("context", "navigated", "collected", "Cannot find")
"""Words of the errors of a script that was run while one page gave way to another."""


class Visitors(Chromium):
    """A browser that gives out contexts: each is a visitor with a jar, a cache and a memory of
    its own.
    """

    def __init__(self, folder: Path, *flags: str) -> None:
        super().__init__(folder, *flags)
        with urllib.request.urlopen(
            f"http://{self._address}/json/version", timeout=PATIENCE
        ) as response:
            address = json.loads(response.read())["webSocketDebuggerUrl"]
        self._open = ExitStack()
        self._line = self._open.enter_context(connect(address, max_size=None))
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the browser."""
        self._open.close()
        super().close()

    def order(self, method: str, **params: Any) -> dict[str, Any]:
        """One command to the browser as a whole, from any thread."""
        with self._lock:
            number = next(self._numbers)
            self._line.send(json.dumps({"id": number, "method": method, "params": params}))
            while True:
                message = json.loads(self._line.recv(timeout=PATIENCE))
                if message.get("id") == number:
                    assert "error" not in message, (method, message["error"])
                    result: dict[str, Any] = message["result"]
                    return result

    def context(self) -> Context:
        """A new visitor."""
        return Context(self, self.order("Target.createBrowserContext")["browserContextId"])

    def page_of(self, context: str) -> Tab:
        """A new page of a visitor."""
        target = self.order("Target.createTarget", url="about:blank", browserContextId=context)[
            "targetId"
        ]
        return Tab(f"ws://{self._address}/devtools/page/{target}")


class Context:
    """One visitor. Reports that the browser still holds back are sent as long as the context is
    open.
    """

    def __init__(self, browser: Visitors, number: str) -> None:
        self._browser, self.number = browser, number

    def tab(self) -> Tab:
        """A new page."""
        return self._browser.page_of(self.number)

    def allow(self, permission: str) -> None:
        """Grant a permission to every origin.

        `Browser.grantPermissions` would refuse all others, background sync too, without which no
        report is sent.
        """
        self._browser.order(
            "Browser.setPermission",
            permission={"name": permission},
            setting="granted",
            browserContextId=self.number,
        )

    def close(self) -> None:
        """Forget the visitor."""
        with suppress(AssertionError):
            self._browser.order("Target.disposeBrowserContext", browserContextId=self.number)


class Person:
    """A visitor with one page open, as visit scripts know it.

    `address` makes a URL of what a script names, `arrived` counts requests by place; `patience` in
    seconds.
    """

    def __init__(
        self,
        context: Context,
        address: Callable[[str], str],
        arrived: Callable[[], Mapping[str, int]],
        patience: float,
    ) -> None:
        self._context, self._address, self._arrived, self._patience = (
            context,
            address,
            arrived,
            patience,
        )
        self._before: Mapping[str, int] = {}
        self.tab = context.tab()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tab.__exit__(None, None, None)

    def begins(self) -> None:
        """A visit begins: what arrived before is not of it."""
        self._before = self._arrived()

    def go(self, address: str) -> None:
        """Load a page and wait until it is loaded, or the browser says why not."""
        self.tab.visit(self._address(address))

    def run(self, script: str) -> object:
        """The value of an expression, with the rights of a click; None while one page gives way
        to another.
        """
        try:
            return self.tab.run(script)
        except AssertionError as error:
            if not any(word in str(error) for word in REFUSED):
                raise
            return None

    def until(self, script: str) -> bool:
        """Whether the expression becomes true in time; one that fails is false."""
        return self._waits(
            lambda: bool(
                self.run(
                    f"(() => {{ try {{ return Boolean({script}) }} catch {{ return false }} }})()"
                )
            )
        )

    def arrives(self, place: str) -> bool:
        """Whether a request for this place has arrived since the visit began, or does in time."""
        return self._waits(lambda: self._arrived().get(place, 0) > self._before.get(place, 0))

    def allow(self, permission: str) -> None:
        """Grant a permission; where the visitor is, is made up."""
        self._context.allow(permission)
        self.tab.send("Emulation.setGeolocationOverride", latitude=0, longitude=0, accuracy=1)

    def seen(self) -> str:
        """What stands on the page at the end: title and text."""
        return str(
            self.run("document.title + ' | ' + (document.body ? document.body.innerText : '')")
        )

    def _waits(self, asked: Callable[[], bool], patience: float | None = None) -> bool:
        """Whether it becomes true; each look lets the browser speak."""
        end = time.monotonic() + (self._patience if patience is None else patience)
        while not asked():
            if time.monotonic() > end:
                return False
            self.tab.hears()
        return True
