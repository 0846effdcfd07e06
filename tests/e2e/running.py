"""One running sidecar, seen from outside: its process, its JSON lines, its metrics, its orders."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.cli import CLEAN, invoked
from tests.e2e import wire
from tests.e2e.processes import ROOT, Child, clean_environment, until
from tests.patience import PATIENCE

Event = dict[str, Any]
COMMAND = (sys.executable, "-m", "sidecar")


def command(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run one verb of the command line to its end, in a process of its own."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,  # a whole program
        check=False,
    )


class Sidecar:
    """`sidecar run` in a folder of its own: `policy.yaml`, `sidecar.yaml`, `state/`, one
    `run-N/` for each start.
    """

    listen: wire.Address
    health: wire.Address
    admin_address: wire.Address
    admin: str

    def __init__(
        self,
        folder: Path,
        policy: str,
        upstream: str,
        *,
        settings: Mapping[str, Any] | None = None,
        flags: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.policy = folder / "policy.yaml"
        self.config = folder / "sidecar.yaml"
        self.state = folder / "state"
        self._runs = 0
        self._flags = flags
        self._settings = {
            "upstream": upstream,
            "listen": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "health": "127.0.0.1:0",
            "policy": str(self.policy),
            "state": str(self.state),
        } | dict(settings or {})
        folder.mkdir(parents=True, exist_ok=True)
        self.write(policy)

    def spawn(self, env: Mapping[str, str] | None = None, stdout: int | None = None) -> Child:
        """Start the process without waiting for it; `stdout` in place of the file is the
        caller's to read.
        """
        self._runs += 1
        self._offset, self._events = 0, list[Event]()
        self.config.write_text(json.dumps(self._settings), "utf-8")
        config = () if "SIDECAR_CONFIG" in (env or {}) else ("--config", str(self.config))
        argv = [*COMMAND, "run", *config, *self._flags]
        self.child = Child(argv, self.folder / f"run-{self._runs}", env=env, stdout=stdout)
        return self.child

    def start(self, env: Mapping[str, str] | None = None) -> Self:
        """Start the process and wait until it serves."""
        self.spawn(env)
        try:
            data = self.event("service.started")
        except BaseException:
            self.stop(within=1.0)
            raise
        self.serves(data)
        return self

    def serves(self, data: Event) -> None:
        """Take the addresses from `service.started`."""
        self.listen, self.health = _address(data["listen"][0]), _address(data["health"])
        self.admin_address, self.admin = _address(data["admin"]), f"http://{data['admin']}"
        assert wire.get(self.health, "/livez").status == 200

    def stop(self, within: float = PATIENCE) -> int:
        """End it by TERM; returns its exit code."""
        self.child.ask_to_end()
        return self.child.end(within)

    def restart(self) -> Self:
        """Stop and start again on the same folder."""
        assert self.stop() == 0
        return self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.child.signal(number)

    # What it is reported

    def write(self, policy: str) -> None:
        """Write the policy in place, as a careless script does."""
        self.policy.write_text(policy, "utf-8")

    def save(self, old: str, new: str) -> None:
        """Replace one text in the policy and rename over it, as editors save."""
        text = self.policy.read_text("utf-8")
        assert old in text, f"{old!r} is not in the policy"
        beside = self.policy.with_suffix(".new")
        beside.write_text(text.replace(old, new), "utf-8")
        beside.replace(self.policy)

    def put(self, policy: str) -> None:
        """Bring a policy in force, now, whatever was rolled back before."""
        self.write(policy)
        data = self.order("/-/reload", unpin=True).json()
        assert data["result"] in ("activated", "unchanged"), data

    def verb(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One verb of the command line against this sidecar's admin address, within this process:
        starting one would cost more than all that it does.
        """
        argv = (*words, "--admin", self.admin)
        done = invoked(*argv, env=CLEAN | {"COLUMNS": "200"})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(argv, done.exit_code, done.stdout, done.stderr)

    def order(self, path: str, **body: object) -> wire.Response:
        """POST to the admin API."""
        headers = [("Host", "127.0.0.1"), ("Content-Type", "application/json")]
        return wire.ask(
            self.admin_address, wire.request("POST", path, headers, json.dumps(body).encode())
        )

    def ask(self, path: str) -> wire.Response:
        """GET from the admin API."""
        return wire.get(self.admin_address, path, ("Host", "127.0.0.1"))

    # What it tells

    def get(self, target: str, *headers: tuple[str, str]) -> wire.Response:
        """GET through the sidecar, on a connection of its own."""
        return wire.get(self.listen, target, *headers)

    def events(self) -> list[Event]:
        """Everything on stdout so far; each line must be one JSON object."""
        with self.child.stdout.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        for line in data[:whole].splitlines():
            given = json.loads(line)
            assert isinstance(given, dict), line
            assert given.get("event"), line
            self._events.append(given)
        return self._events

    def reported(self, name: str, since: int = 0, /, **facts: object) -> list[Event]:
        """The events of this name with these facts, from position `since` on; url_path=... means
        url.path.
        """
        wanted = {
            key.replace("_", ".", 1) if key.startswith("url_") else key: value
            for key, value in facts.items()
        }.items()
        return [
            data
            for data in self.events()[since:]
            if data["event"] == name and wanted <= data.items()
        ]

    def logged_by(self, logger: str) -> list[Event]:
        """What came out of another's logger."""
        return [data for data in self.events() if data.get("logger") == logger]

    def event(
        self, name: str, since: int = 0, /, within: float = PATIENCE, **facts: object
    ) -> Event:
        """Wait for the first such event."""

        def found() -> list[Event]:
            ended = self.child.returncode
            matching = self.reported(name, since, **facts)
            assert matching or ended is None, (
                f"ended with {ended} before {name}: {self.child.stderr.read_text()}"
            )
            return matching

        return until(found, f"event {name} with {facts}", within)[0]

    def kept(self, name: str) -> None:
        """Wait until the newest entry of the journal is of this name: events are reported before
        they are kept.
        """
        newest = lambda: self.ask("/api/revisions").json()["entries"][0]["event"]  # noqa: E731 - asked again and again
        until(lambda: newest() == name, f"{name} is in the journal")

    def status(self) -> dict[str, Any]:
        """GET /api/status."""
        data: dict[str, Any] = self.ask("/api/status").json()
        return data

    def ready(self) -> tuple[int, str]:
        """GET /readyz: status and text."""
        response = wire.get(self.health, "/readyz")
        return response.status, response.body.decode()

    def metrics(self) -> str:
        """GET /metrics."""
        response = wire.get(self.health, "/metrics")
        assert response.status == 200
        return response.body.decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that carry these labels."""
        samples = [
            sample.value
            for family in text_string_to_metric_families(self.metrics())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert samples, f"no sample {name}{labels}"
        return sum(samples)

    def resident(self) -> int:
        """Bytes of memory in use."""
        pages = int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def awaits(
        self, seen: Callable[[wire.Response], bool], target: str, what: str
    ) -> wire.Response:
        """Ask for `target` until the response is as wanted."""

        def asked() -> wire.Response | None:
            response = self.get(target)
            return response if seen(response) else None

        response = until(asked, what)
        assert response is not None
        return response


def _address(text: str) -> wire.Address:
    host, _, port = text.rpartition(":")
    return host, int(port)
