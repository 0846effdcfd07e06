"""The sidecar's own work in a thread beside a service's requests: policy, admin, evidence.

A forked process, and a second process on the same state folder, has a host of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from sidecar.policy.terms import PolicyError, Problem
from sidecar.revisions import Active
from sidecar.revisions.store import claimed
from sidecar.runtime.request_server import RequestServer
from sidecar.runtime.service import Service
from sidecar.runtime.settings_file import read_settings
from sidecar.settings import Settings
from sidecar.source import load_policy
from sidecar.telemetry import Telemetry
from sidecar.telemetry.events import QueuedOutput

HERE: Final = "in process"
"""The addresses of the data listener and of the service, which do not exist."""
SOON = 0.05
"""Seconds until a posted job is done at the latest."""
_PROCESSES = 256
_FLAG = re.compile(r"--([a-z_]+)(?: (?=[A-Z]))?")
_STOPPING = 10.0
"""Seconds that the end of the process waits for the last evidence to be kept."""


class _Here(RequestServer):
    """The server of a process that serves its requests itself; `catch_up` does what was posted."""

    def __init__(self, telemetry: Telemetry, catch_up: Callable[[], None]) -> None:
        super().__init__(telemetry)
        self._catch_up = catch_up

    async def start(self) -> list[str]:
        return [HERE]

    async def refresh(self) -> None:
        """Count what has been served and is not counted yet."""
        self._catch_up()


class Host:
    """A service without a data plane, in a thread; `start` it, or use `active`, which starts it.

    Args:
        policy: the policy file; None = as the settings say.
        config: the settings file.
        events: the file that JSON lines are appended to; None = stdout.
        settings: single settings, as in the file.

    Raises:
        PolicyError: the settings or the policy cannot be used.
    """

    def __init__(
        self,
        policy: str | os.PathLike[str] | None,
        config: str | os.PathLike[str] | None,
        events: str | os.PathLike[str] | None,
        settings: Mapping[str, Any],
    ) -> None:
        flags = {**settings, "policy": None if policy is None else os.fspath(policy)}
        with _arguments_named():
            self.settings = read_settings(None if config is None else Path(config), flags)
        self._events = events
        self._guard = threading.Lock()
        self._process = 0
        _sound(self.settings)

    @property
    def active(self) -> Active:
        """What is in force; starts the host where this process has none."""
        if self._process != os.getpid():
            self.start()
        return self._service.revisions.active

    @property
    def telemetry(self) -> Telemetry:
        """To record with: from the host's thread only, by `post`."""
        return self._service.telemetry

    @property
    def admin(self) -> str:
        """Where the admin listener is bound, once started."""
        return self._service.admin

    @property
    def health(self) -> str:
        """Where the health listener is bound, once started."""
        return self._service.health

    @property
    def is_running(self) -> bool:
        """Whether it runs in this process."""
        return self._process == os.getpid()

    def start(self) -> None:
        """Put the policy in force and open the listeners, unless this process has done so.

        Raises:
            PolicyError: as `sidecar run` says.
        """
        with self._guard:
            if self.is_running:
                return
            self.lock = threading.Lock()
            """Held while several threads may change counts."""
            self._prefix, self._ids = os.urandom(8).hex(), itertools.count(1)
            self._jobs: deque[Callable[[], object]] = deque()
            self._failure: BaseException | None = None
            self._claim: int | None = None
            started = threading.Event()
            run, args = self._run, (started,)
            self._thread = threading.Thread(target=run, args=args, name="sidecar", daemon=True)
            self._thread.start()
            started.wait()
            if self._failure is not None:
                raise self._failure
            self._process = os.getpid()
            # Before Python joins the threads of executors: one of them waits for the policy file
            # until it is told to stop, and to keep the evidence takes another.
            getattr(threading, "_register_atexit", atexit.register)(self.stop)

    def stop(self) -> None:
        """Keep the evidence and close the listeners, if it runs in this process."""
        with self._guard:
            if not self.is_running:
                return
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_STOPPING)
            self._process = 0

    def new_id(self) -> str:
        """A request id that no other process makes."""
        return f"{self._prefix}{next(self._ids):012x}"

    def post(self, job: Callable[[], object]) -> None:
        """Do this in the host's thread soon, after what was posted before; never waits."""
        self._jobs.append(job)

    async def _work(self) -> None:
        """Do what was posted, in batches: waking a thread for each request costs more than it."""
        while not self._stopping.is_set():
            self._do()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), SOON)

    def _do(self) -> None:
        while self._jobs:
            job = self._jobs.popleft()
            try:
                job()
            except Exception as error:  # noqa: BLE001 - no fault in counting may end it
                detail, fault = "a response could not be counted", repr(error)
                self.telemetry.emit("process.error", level="error", detail=detail, error=fault)

    def _run(self, started: threading.Event) -> None:
        try:
            with _arguments_named():
                asyncio.run(self._serve(started))
        except BaseException as error:  # noqa: BLE001 - `start` raises it, whatever it is
            self._failure = error
        finally:
            started.set()
            if self._claim is not None:
                os.close(self._claim)

    async def _serve(self, started: threading.Event) -> None:
        settings = self._claimed()
        fd = 1
        if self._events is not None:
            try:
                fd = os.open(self._events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            except OSError as error:
                text = f"events cannot be written: {error.strerror or error}"
                problem = Problem(text, "name another: events=FILE", file=os.fspath(self._events))
                raise PolicyError((problem,)) from error
        sink = QueuedOutput(fd)
        try:
            self._service = Service(settings, sink, partial(_Here, catch_up=self._do))
            self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
            await self._service.start()
            started.set()
            await self._work()
            self._do()
            await self._service.close()
        finally:
            sink.close()
            if fd != 1:
                os.close(fd)

    def _claimed(self) -> Settings:
        """This process's settings: the first gets state folder and ports, others new ones."""
        said = self.settings.model_copy(update={"workers": 1, "listen": HERE, "upstream": HERE})
        for number in range(1, _PROCESSES):
            folder = Path(said.state) if number == 1 else Path(said.state) / f"process-{number}"
            try:
                self._claim = claimed(folder)
            except OSError as error:
                text = f"the state folder {folder} cannot be used: {error.strerror or error}"
                raise PolicyError((Problem(text, "choose another: state=DIR"),)) from error
            if self._claim is None:
                continue
            if number == 1:
                return said
            hosts = {name: getattr(said, name).rpartition(":")[0] for name in ("admin", "health")}
            free = {name: f"{host}:0" for name, host in hosts.items()}
            return said.model_copy(update={"state": str(folder), **free})
        text = f"{_PROCESSES} processes use the state folder {said.state}"
        raise PolicyError((Problem(text, "choose another: state=DIR"),))


App = TypeVar("App")


class PolicyWrapper(Generic[App]):
    """An application around another: each response passes through the policy.

    Args:
        app: the application.
        policy: the policy file. [default: as the settings say, policy.yaml]
        config: the settings file.
        events: the file that events are appended to, as JSON lines. [default: stdout]
        settings: single settings, as in the settings file: `admin="127.0.0.1:0"`.

    Raises:
        PolicyError: the settings or the policy cannot be used; with every problem.
    """

    def __init__(
        self,
        app: App,
        policy: str | os.PathLike[str] | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        events: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        self._app = app
        self.host = Host(policy, config, events, settings)


@contextlib.contextmanager
def _arguments_named() -> Iterator[None]:
    """In refusals, arguments in the place of the flags of `sidecar run`."""
    try:
        yield
    except PolicyError as error:
        named = tuple(
            replace(one, fix=_argument(one.fix), file=_argument(one.file)) for one in error.problems
        )
        raise PolicyError(named) from error


def _argument(text: str) -> str:
    return _FLAG.sub(r"\1=", text)


def _sound(settings: Settings) -> None:
    """Refuse an unusable policy when the service is made, not at its first request."""
    try:
        data = Path(settings.policy).read_bytes()
    except OSError as error:
        text = f"the policy cannot be read: {error.strerror or error}"
        problem = Problem(text, "name another: policy=FILE", file=settings.policy)
        raise PolicyError((problem,)) from error
    load_policy(data, settings.policy)
