"""A headless Chromium, driven by its own protocol: pages, clicks, and everything it complains of.

`Chromium` and `Tab` over the DevTools protocol.
"""

import base64
import itertools
import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.e2e.processes import Child, until
from tests.patience import PATIENCE

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Chromium:
    """One browser with an empty profile, started with further `flags`."""

    def __init__(self, folder: Path, *flags: str) -> None:
        binary = shutil.which("chromium") or shutil.which("chromium-browser")
        if binary is None:
            pytest.skip("chromium is not installed")
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.child = Child(
            [binary, *FLAGS, *flags, f"--user-data-dir={self._profile.name}", "about:blank"],
            folder / "chromium",
        )
        data = Path(self._profile.name) / "DevToolsActivePort"
        until(lambda: data.exists() and data.read_text().count("\n"), "Chromium listens")
        self._address = f"127.0.0.1:{data.read_text().splitlines()[0]}"

    def tab(self) -> "Tab":
        """A new page."""
        request = urllib.request.Request(
            f"http://{self._address}/json/new?about:blank", method="PUT"
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return Tab(json.loads(response.read())["webSocketDebuggerUrl"])

    def close(self) -> None:
        """End the browser."""
        self.child.ask_to_end()
        self.child.end(5.0)
        self._profile.cleanup()


class Tab:
    """One page. `complaints` holds console errors and warnings, exceptions and policy
    violations, in order.
    """

    def __init__(self, address: str) -> None:
        self._open = ExitStack()
        self._line: ClientConnection = self._open.enter_context(
            connect(address, max_size=None, max_queue=None)
        )
        self._numbers = itertools.count(1)
        self._documents: list[str] = []  # those that the page has shown, by their loaders' ids
        self._loaded = False
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(AssertionError):  # a page that stays open goes on working
            self.send("Page.close")
        self._open.close()

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; what comes in between is noted."""
        number = next(self._numbers)
        self._line.send(json.dumps({"id": number, "method": method, "params": params}))
        end = time.monotonic() + 2 * PATIENCE  # axe holds a page's only thread while it looks
        while True:
            message = json.loads(self._line.recv(timeout=max(0.01, end - time.monotonic())))
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Page.frameNavigated" if "parentId" not in params["frame"]:
                self._documents.append(params["frame"]["loaderId"])
                self._loaded = False
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(str([item.get("value") for item in params["args"]]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(
                    f"{params['entry']['text']} {params['entry'].get('url', '')}"
                )
            case "Audits.issueAdded":
                self.complaints.append(f"{params['issue']['code']}: {params['issue']['details']}")

    def hears(self) -> bool:
        """Note what the browser says on its own: wait a moment for the first word, then take all
        that is there.
        """
        with suppress(TimeoutError):
            self._note(json.loads(self._line.recv(timeout=0.05)))
            while True:
                self._note(json.loads(self._line.recv(timeout=0)))
        return True

    def visit(self, url: str) -> None:
        """Load a page and wait until it, or the page that it leads to, is loaded.

        The page before it can end its loading late: that does not count. Where the browser shows
        an error or keeps the page that it has, nobody waits.
        """
        document = self.send("Page.navigate", url=url)
        if "errorText" not in document and "loaderId" in document:
            self._hears_until(
                lambda: document["loaderId"] in self._documents and self._loaded, f"{url} is loaded"
            )

    @contextmanager
    def loading(self) -> Iterator[None]:
        """A block after which another page has been loaded."""
        before = len(self._documents)
        yield
        self._hears_until(
            lambda: len(self._documents) > before and self._loaded, "the page is loaded"
        )

    def _hears_until(self, condition: Callable[[], bool], what: str) -> None:
        until(lambda: self.hears() and condition(), what)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        data = self.send(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in data, data["exceptionDetails"]
        return data["result"].get("value")

    def awaits(self, script: str, what: str) -> Any:
        """Ask until the expression is true."""
        return until(lambda: self.run(script), what)

    def type(self, selector: str, text: str) -> None:
        """Focus a field and type."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.send("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click the middle of an element, as a person does."""
        place = self.run(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            " it.scrollIntoView({block: 'center'});const box = it.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key; `text` is what it writes."""
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more
            )

    def resize(self, width: int, height: int = 900) -> None:
        """The window's size in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def picture(self, path: Path) -> None:
        """Write a screenshot of what the window shows."""
        data = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))
