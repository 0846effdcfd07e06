"""Signals, drain, readiness, and what survives the process."""

import signal
import threading
from collections.abc import Callable
from itertools import count

import pytest

from tests.e2e import wire
from tests.e2e.canned import Canned
from tests.e2e.conftest import ENFORCED, POLICY, Start
from tests.e2e.processes import Service, until
from tests.e2e.running import Sidecar
from tests.patience import PATIENCE
from tests.portion import by_default, full
from tests.services import samples

_gates = count()


def held(sidecar: Sidecar) -> tuple[wire.Line, str]:
    """A request in flight: the service holds its response at a gate."""
    gate = f"life-{next(_gates)}"
    line = wire.Line(sidecar.listen)
    line.send(wire.request("GET", f"/held/{gate}"))
    until(lambda: sidecar.metric("sidecar_requests_in_flight") == 1, "one request in flight")
    return line, gate


@pytest.mark.parametrize(
    ("name", "number"),
    by_default(
        [("fastapi", signal.SIGTERM), ("flask", signal.SIGTERM), ("fastapi", signal.SIGINT)],
        ("fastapi", signal.SIGTERM).__eq__,
    ),
)
def test_term_lets_requests_finish(
    start: Start, services: Callable[[str], Service], name: str, number: signal.Signals
) -> None:
    """TERM and INT let the request in flight finish whole, then the process ends with exit code
    0.
    """
    service = services(name)
    sidecar = start(ENFORCED, service.url)
    line, gate = held(sidecar)
    with line:
        sidecar.signal(number)
        sidecar.event("service.draining", in_flight=1)
        service.open_gate(gate)
        response = line.response()
        assert (response.status, response.value("X-Policy-Mark")) == (200, "one")
        assert line.rest() == b""
    assert sidecar.child.wait() == 0
    assert sidecar.events()[-1]["event"] == "service.stopped"


@pytest.mark.parametrize("delay", by_default(["0s", "60s"], "60s".__eq__))
def test_second_term_ends_at_once(start: Start, shop: Service, delay: str) -> None:
    """A second TERM ends the process at once, in the drain delay and in the drain, whatever is
    in flight.
    """
    sidecar = start(POLICY, shop.url, timeouts={"drain": "60s", "drain_delay": delay})
    line, gate = held(sidecar)
    with line:
        sidecar.signal(signal.SIGTERM)
        sidecar.event("service.draining")
        sidecar.signal(signal.SIGTERM)
        assert sidecar.child.wait() == 0
    shop.open_gate(gate)


def test_drain_is_bounded(start: Start, shop: Service) -> None:
    """A request that outlasts the drain time is cut, and the process ends with exit code 0."""
    sidecar = start(POLICY, shop.url, timeouts={"drain": "300ms"})
    line, gate = held(sidecar)
    with line:
        sidecar.signal(signal.SIGTERM)
        assert sidecar.child.wait() == 0
    shop.open_gate(gate)


def test_drain_delay_fails_readiness_first(start: Start, shop: Service) -> None:
    """During the drain delay readiness is gone, and new requests are still served, told to
    close.
    """
    sidecar = start(POLICY, shop.url, timeouts={"drain_delay": "60s"})
    assert sidecar.ready()[0] == 200
    sidecar.signal(signal.SIGTERM)
    sidecar.event("service.draining")
    status, text = sidecar.ready()
    assert (status, "draining" in text) == (503, True)
    response = sidecar.get("/")
    assert (response.status, response.value("Connection")) == (200, "close")
    assert wire.get(sidecar.health, "/livez").status == 200
    sidecar.signal(signal.SIGTERM)
    assert sidecar.child.wait() == 0


def test_no_request_is_lost_while_it_stops(start: Start, shop: Service) -> None:
    """Clients that keep asking while TERM comes get whole responses, or no connection; never a
    cut one.
    """
    sidecar = start(ENFORCED, shop.url, timeouts={"drain_delay": "300ms"})
    cut: list[str] = []
    served = [0]

    def hammer() -> None:
        while True:
            try:
                line = wire.Line(sidecar.listen)
            except ConnectionError:
                return
            with line:
                try:
                    line.send(wire.request("GET", "/file"))
                except ConnectionError:
                    continue
                if not line.begins():
                    continue  # left in the system's queue when the listener closed
                try:
                    assert len(line.response().body) == len(samples.FILE)
                except (ConnectionError, AssertionError) as error:
                    cut.append(repr(error))
                served[0] += 1

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: served[0] > 20, "traffic")
    sidecar.signal(signal.SIGTERM)
    for thread in threads:
        thread.join(PATIENCE)
    assert cut == []
    assert sidecar.child.wait() == 0


def test_hup_reads_the_file(front: Sidecar) -> None:
    """HUP reads the policy file again and tells that a signal asked."""
    since = len(front.events())
    reloads = front.metric("sidecar_config_reloads_total", result="unchanged")
    front.signal(signal.SIGHUP)
    until(
        lambda: front.metric("sidecar_config_reloads_total", result="unchanged") == reloads + 1,
        "the file read",
    )
    front.write("mode: [")
    front.signal(signal.SIGHUP)
    assert front.event("policy.rejected", since)["who"] in ("signal", "file")


def test_usr1_tells_the_state(front: Sidecar, shop: Service) -> None:
    """USR1 writes the state as one event and changes nothing."""
    since, before = len(front.events()), front.status()
    front.signal(signal.SIGUSR1)
    data = front.event("service.state", since)
    assert (data["revision"], data["mode"], data["upstream"], data["draining"]) == (
        before["revision"],
        "report-only",
        shop.url,
        False,
    )
    assert front.status()["activated"] == before["activated"]


def test_usr2_stops_enforcing(front: Sidecar, shop: Service) -> None:
    """USR2 lowers everything to report-only at once."""
    front.put(ENFORCED)
    assert front.get("/").value("X-Policy-Mark") == "one"
    since = len(front.events())
    front.signal(signal.SIGUSR2)
    assert front.event("mode.overridden", since)["mode"] == "report-only"
    assert front.get("/").stable == wire.get(shop.address, "/").stable
    assert front.metric("sidecar_mode", mode="report-only") == 1


def test_mode_override_survives_a_restart(start: Start, shop: Service) -> None:
    """`sidecar mode report-only` counts at once, is shown everywhere, stays over a restart, and
    is lifted by `mode enforce`.
    """
    sidecar = start(ENFORCED, shop.url)
    assert sidecar.verb("mode", "report-only", "--reason", "checkout fails").returncode == 0
    for again in (False, True):
        if again:
            sidecar.restart()
        assert sidecar.get("/").stable == wire.get(shop.address, "/").stable
        status = sidecar.status()
        assert (status["mode"], status["policy_mode"], status["override"]["reason"]) == (
            "report-only",
            "enforce",
            "checkout fails",
        )
        assert sidecar.event("mode.overridden")["override"] == "report-only"
        assert sidecar.metric("sidecar_mode", mode="report-only") == 1
    shown = sidecar.verb("status")
    assert (shown.returncode, "checkout fails" in shown.stdout) == (0, True)
    assert sidecar.verb("mode", "enforce").returncode == 0
    assert sidecar.get("/").value("X-Policy-Mark") == "one"


def test_override_ends_with_its_time(front: Sidecar) -> None:
    """An override with a time ends by itself."""
    front.put(ENFORCED)
    since = len(front.events())
    assert front.order("/-/mode", mode="off", ttl="100ms").status == 200
    assert not front.get("/").values("X-Policy-Mark")
    front.event("mode.overridden", since, who="timer")
    assert front.get("/").value("X-Policy-Mark") == "one"


def test_readiness_follows_the_upstream(start: Start) -> None:
    """With `ready.upstream` readiness falls when the service stops taking connections; liveness
    does not.
    """
    with Canned() as upstream:
        sidecar = start(POLICY, upstream.url, ready={"upstream": True})
        assert sidecar.ready()[0] == 200
    until(lambda: sidecar.ready()[0] == 503, "not ready without its service")
    assert "upstream" in sidecar.ready()[1]
    assert wire.get(sidecar.health, "/livez").status == 200


@full
def test_the_history_is_bounded(start: Start, shop: Service) -> None:
    """At start the journal is cut to `history.keep`, and what is in force and can be gone back
    to still is.
    """
    sidecar = start(POLICY, shop.url, history={"keep": 2})
    for number in range(6):
        sidecar.put(POLICY + f"# {number}\nx-{number}: 1\n" if number % 2 else ENFORCED)
    journal = len((sidecar.state / "journal.jsonl").read_bytes().splitlines())
    sidecar.restart()
    dropped = sidecar.event("state.compacted")["entries"]
    assert dropped > 0
    assert len(sidecar.ask("/api/revisions").json()) <= journal - dropped + 1
    assert sidecar.verb("rollback").returncode == 0
