"""Other engines than Chromium's, driven over standard protocols: Firefox by WebDriver BiDi,
WebKitGTK by WebDriver.

Source: WebDriver BiDi (W3C), sections 7.1 and 7.3; WebDriver (W3C), sections 8 to 13.
"""

import itertools
import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.e2e.processes import Child, free_port, until
from tests.patience import PATIENCE


class Engine(Protocol):
    """A browser with an empty profile that takes any certificate; one page is open."""

    def visit(self, url: str) -> None:
        """Load a page and wait until it is loaded."""

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression: text, number, truth value or None."""

    def close(self) -> None:
        """End the browser."""


def program(*names: str) -> str:
    """The first of these programs that is installed; the test is skipped without one."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"{names[0]} is not installed")
    return found


class _Opened:
    """What is open of a browser, closed in reverse order; at once where opening fails."""

    def __init__(self, folder: Path) -> None:
        with ExitStack() as opening:
            self._open = opening
            self._begin(folder)
            self._open = opening.pop_all()

    def _begin(self, folder: Path) -> None:
        raise NotImplementedError

    def _child(self, argv: list[str], folder: Path, **env: str) -> Child:
        child = Child(argv, folder, env={**os.environ, **env})
        self._open.callback(child.end, 5.0)
        self._open.callback(child.ask_to_end)
        return child

    def _home(self, name: str) -> str:
        made = tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True)
        return self._open.enter_context(made)

    def close(self) -> None:
        """End the browser."""
        self._open.close()


class Firefox(_Opened):
    """A headless Firefox."""

    _line: ClientConnection

    def _begin(self, folder: Path) -> None:
        binary = program("firefox-esr", "firefox")
        profile, port = self._home("firefox"), free_port()
        flags = ["--headless", "--no-remote", "--profile", profile]
        argv = [binary, *flags, "--remote-debugging-port", str(port)]
        self._child(argv, folder, HOME=profile, MOZ_DISABLE_CONTENT_SANDBOX="1")
        self._numbers = itertools.count(1)

        def reached() -> bool:
            try:
                line = connect(f"ws://127.0.0.1:{port}/session", max_size=None)
                self._line = self._open.enter_context(line)
            except (OSError, WebSocketException):
                return False
            return True

        until(reached, "Firefox listens")
        self._send("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        self._page = self._send("browsingContext.getTree")["contexts"][0]["context"]

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._line.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._line.recv(timeout=PATIENCE))
            if message.get("id") == number:
                assert message["type"] == "success", (method, message)
                result: dict[str, Any] = message["result"]
                return result

    def visit(self, url: str) -> None:
        """Load a page and wait until it is loaded."""
        self._send("browsingContext.navigate", context=self._page, url=url, wait="complete")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        target = {"context": self._page}
        found = self._send(
            "script.evaluate", expression=expression, target=target, awaitPromise=True
        )
        assert found["type"] == "success", found
        return found["result"].get("value")


class WebKit(_Opened):
    """MiniBrowser of WebKitGTK, in a display that nobody sees."""

    def _begin(self, folder: Path) -> None:
        driver, screen = program("WebKitWebDriver"), program("Xvfb")
        number, port = next(_DISPLAYS), free_port()
        self._child([screen, f":{number}", "-nolisten", "tcp"], folder / "screen")
        until(Path(f"/tmp/.X11-unix/X{number}").exists, "the screen is there")
        home = self._home("webkit")
        argv = [driver, f"--port={port}", "--host=127.0.0.1"]
        hidden = {
            "HOME": home,
            "XDG_RUNTIME_DIR": home,
            "DISPLAY": f":{number}",
            "GDK_BACKEND": "x11",
        }
        self._child(argv, folder / "webkit", LIBGL_ALWAYS_SOFTWARE="1", **hidden)
        self._base = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            try:
                return bool(self._ask("GET", "/status")["ready"])
            except OSError:
                return False

        until(ready, "WebKitWebDriver listens")
        wanted = {"acceptInsecureCerts": True, "browserName": "MiniBrowser"}
        session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._base += f"/session/{session['sessionId']}"
        self._open.callback(self._ask, "DELETE", "")

    def _ask(self, method: str, path: str, data: dict[str, Any] | None = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self._base + path, body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return json.loads(response.read())["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError((path, error.read().decode())) from error

    def visit(self, url: str) -> None:
        """Load a page and wait until it is loaded."""
        self._ask("POST", "/url", {"url": url})

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        return self._ask("POST", "/execute/sync", {"script": f"return ({expression})", "args": []})


def _free_displays() -> Iterator[int]:
    """Numbers of X displays that nobody uses, each process beginning elsewhere."""
    for number in itertools.count(100 + os.getpid() % 10_000):
        if not Path(f"/tmp/.X11-unix/X{number}").exists():
            yield number


_DISPLAYS = _free_displays()
