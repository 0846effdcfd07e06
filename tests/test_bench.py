"""Proves the benchmark's arithmetic, parsing and tables; starts no proxy and no load tool."""

import io
import json
import socket
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from bench import __main__ as command
from bench.load import Case, Latency, Throughput, parse_case, parse_wrk
from bench.memory import Footprint, length
from bench.origin import size_in_bytes
from bench.paced import Exchange, complete, offer, percentile
from bench.peers import PEERS, REMOVE, SET, SUBJECT, Peer, Site
from bench.process import Cores, share_out
from bench.profile import by_file, own_time, parse_perf, shares
from bench.report import (
    Demand,
    demands_table,
    latency_table,
    memory_demands,
    memory_table,
    p99_ratio,
    paired_ratio,
    ratio,
    shares_table,
    speed_demands,
    throughput_table,
)
from bench.rounds import Results, bearable
from bench.verify import complaints

WRK = """\
Running 2s test @ http://127.0.0.1:40001/1k
  1 threads and 32 connections
Requests/sec:  65514.00
RESULT {"requests":131072,"bytes":209715200,"microseconds":2000000,"errors":3}
"""


def sample(rate: float, cpu: float = 1.0) -> Throughput:
    """One second of so many requests."""
    return Throughput(requests=rate, seconds=1.0, errors=0, cpu=cpu)


def delay(p99: float) -> Latency:
    """A latency with this p99."""
    return Latency(p50=p99 / 2, p99=p99, worst=p99 * 2, achieved=100.0, lost=0)


def text(table: Table) -> str:
    """What a person would read."""
    out = io.StringIO()
    Console(file=out, width=200).print(table)
    return out.getvalue()


@pytest.mark.parametrize(("name", "size"), [("1k", 1024), ("100k", 102_400), ("10m", 10_485_760)])
def test_size_names(name: str, size: int) -> None:
    """A size is a number of KiB or MiB."""
    assert size_in_bytes(name) == size


@pytest.mark.parametrize("name", ["", "k", "1", "1g", "-1k", "1.5k"])
def test_wrong_size_names(name: str) -> None:
    """Anything else is refused by name."""
    with pytest.raises(ValueError, match="is not a size"):
        size_in_bytes(name)


def test_case_reads_back() -> None:
    """A case prints as it is written."""
    assert str(parse_case("100k-256")) == "100k-256"
    assert parse_case("1k-32") == Case("1k", 32)


@pytest.mark.parametrize("wrong", ["1k", "1k-", "1k-0", "1k-x", "32-1k"])
def test_wrong_cases(wrong: str) -> None:
    """A case needs a size and at least one connection."""
    with pytest.raises(ValueError, match="is not a"):
        parse_case(wrong)


def test_wrk_small_pages_are_counted_by_requests() -> None:
    """The exact figures are read, not wrk's rounded table; CPU is spread over the requests."""
    found = parse_wrk(WRK, Case("1k", 32), cpu=1.9)
    assert (found.rate, found.errors, found.busy) == (65_536.0, 3, 0.95)
    assert found.cpu_each == pytest.approx(1.9e6 / 131_072)


def test_wrk_large_bodies_are_counted_by_bytes() -> None:
    """Large bodies half way at the end count for their part."""
    assert parse_wrk(WRK, Case("10m", 8), cpu=1.0).requests == pytest.approx(20.0)


def test_wrk_failure_is_told() -> None:
    """When wrk gave no figures, what it said is in the error."""
    with pytest.raises(ValueError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1\n", Case("1k", 1), cpu=0.0)


def test_a_proxy_that_answered_nothing_has_no_price() -> None:
    """No request, no division by zero."""
    assert sample(0).cpu_each == float("inf")


@given(st.lists(st.floats(1, 1e6), min_size=1), st.floats(0.01, 1))
def test_percentile_is_the_nearest_rank(values: list[float], share: float) -> None:
    """At least that share does not exceed it, and no smaller value has that property."""
    found = percentile(values, share)
    assert sum(value <= found for value in values) >= share * len(values)
    smaller = [value for value in values if value < found]
    assert len(smaller) < share * len(values)


@pytest.mark.parametrize(
    ("got", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nxy", True),
    ],
)
def test_end_of_an_response(got: bytes, whole: bool) -> None:
    """A response ends where its Content-Length says."""
    assert complete(got) is whole


def test_other_statuses_are_no_response() -> None:
    """A fast 502 is not good latency."""
    with pytest.raises(ConnectionError, match="502"):
        complete(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


def test_a_stall_is_paid_by_all_that_it_held_up() -> None:
    """Latency runs from when a request was due, not from when it could be sent."""
    stall, rate = 0.1, 200.0

    def serve(listener: socket.socket) -> None:
        link, _ = listener.accept()
        with link:
            time.sleep(stall)
            while link.recv(4096):
                link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        exchange = Exchange(listener.getsockname()[1])
        took = offer([exchange], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", rate, 0.2, warm=0.0)
        exchange.link.close()
        server.join()
    assert len(took) == 0.2 * rate
    assert sum(each > stall / 2 for each in took) >= rate * stall / 2 - 2


def test_paired_ratio_cancels_a_slow_round() -> None:
    """A round in which all were slow does not move the ratio."""
    assert paired_ratio([10, 1, 10], [20, 2, 20]) == 0.5


def test_ratio_by_rate_and_by_cpu() -> None:
    """By CPU, twice the price a request is half the worth, whatever the rate was."""
    samples = {"a": [sample(100, cpu=0.5)], "b": [sample(100, cpu=0.25)]}
    assert ratio(samples, "a", "b") == 1.0
    assert ratio(samples, "a", "b", by_cpu=True) == 0.5
    assert ratio(samples, "a", "absent") is None


def test_p99_ratio() -> None:
    """Ours over theirs; unknown when one was not measured."""
    samples = {"nginx": [delay(1.0)], SUBJECT: [delay(2.0)]}
    assert p99_ratio(samples, SUBJECT, "nginx") == 2.0
    assert p99_ratio(samples, SUBJECT, "absent") is None


def test_offered_rate() -> None:
    """Half of the sidecar's, or of the slowest when it is absent."""
    assert bearable({"nginx": 100.0, SUBJECT: 40.0, "slow": 10.0}) == 20.0
    assert bearable({"nginx": 100.0, "slow": 10.0}) == 5.0


@pytest.mark.parametrize(
    ("measured", "at_most", "verdict"),
    [
        (None, False, "not measured"),
        (2.0, False, "met"),
        (1.9, False, "missed"),
        (2.1, True, "missed"),
    ],
)
def test_verdicts(measured: float | None, at_most: bool, verdict: str) -> None:
    """A demand is met at its limit."""
    assert Demand("d", 2.0, measured, at_most=at_most).verdict == verdict


def test_throughput_table_has_medians_and_ratios() -> None:
    """A row holds the median, the range, and both ratios."""
    samples = {
        "nginx": [sample(100), sample(90), sample(1000)],
        SUBJECT: [sample(40), sample(36), sample(400)],
    }
    rows = [
        line for line in text(throughput_table("1k-32", samples)).splitlines() if SUBJECT in line
    ]
    assert all(cell in rows[-1] for cell in (" 40 ", "36..400", " 0.40 ", " 1.00 "))


def test_other_tables() -> None:
    """Each shows its figures in the unit of its title, and names with brackets whole."""
    assert " 2.00 " in text(latency_table(50, {"nginx": [delay(1.0)], SUBJECT: [delay(2.0)]}))
    mib = 1 << 20
    row = Footprint(idle=50 * mib, streaming=75 * mib, requests=1000, early=52 * mib, late=53 * mib)
    shown = text(memory_table({SUBJECT: row}))
    assert all(cell in shown for cell in (" 50.0 ", " 75.0 ", " 25.0 ", " 1,000 ", " 1.0 "))
    assert "[kernel]" in text(shares_table("by library", [("[kernel]", 0.5)]))
    verdicts = [demand.verdict for demand in memory_demands(row)]
    assert verdicts == ["met", "missed", "met"]
    assert "missed" in text(demands_table(memory_demands(row)))


def test_demands_of_an_absent_sidecar() -> None:
    """What was not measured is neither met nor missed."""
    every = [*speed_demands(Results()), *memory_demands(None)]
    assert {demand.verdict for demand in every} == {"not measured"}


def test_dropping_a_contender() -> None:
    """Who broke under load is named, and none of its samples stays."""
    results = Results({"1k-32": {"a": [sample(1)], "b": [sample(1)]}}, {"a": [delay(1)]})
    results.drop("a", "broke")
    assert (results.skipped, list(results.throughput["1k-32"]), results.latency) == (
        {"a": "broke"},
        ["b"],
        {},
    )


def test_complaints_about_an_response() -> None:
    """The demanded response has no complaint; each deviation has its own."""
    good = list(SET.items())
    assert complaints(200, good, 1024, 1024) == []
    assert complaints(502, good, 1024, 1024) == ["status 502"]
    assert complaints(200, good, 0, 1024) == ["0 bytes of body instead of 1024"]
    assert complaints(200, good[1:], 1024, 1024) == [f"{good[0][0]} is []"]
    assert len(complaints(200, [*good, good[0]], 1024, 1024)) == 1
    assert complaints(200, [*good, ("server", "x")], 1024, 1024) == ["Server is still there"]


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_is_given_all_ten_rules(peer: Peer, tmp_path: Path) -> None:
    """Each configuration names every header to set with its value, and every one to remove."""
    peer.command(Site(tmp_path, port=40001, upstream=40002))
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert [
        name for name, value in SET.items() if name not in written or value not in written
    ] == []
    assert [name for name in REMOVE if name not in written] == []


def test_profile_by_function_and_file() -> None:
    """Only the innermost function owns a sample."""
    stacks = (
        "main (app.py:1);relay (app.py:9) 3\nmain (app.py:1);send (lib/wire.py:4) 1\n<built-in> 4\n"
    )
    functions = own_time(stacks)
    assert functions == {"relay (app.py:9)": 3, "send (lib/wire.py:4)": 1, "<built-in>": 4}
    assert by_file(functions) == {"app.py": 3, "lib/wire.py": 1, "<built-in>": 4}
    assert shares(functions, top=1) == [("<built-in>", 0.5)]


def test_perf_report_rows() -> None:
    """Comments are left out and columns are joined by single spaces."""
    report = "# Overhead  Shared Object\n\n    61.50%  libpython3.11.so   [.] eval\n     2.50%  [kernel]\n"
    assert parse_perf(report) == [("libpython3.11.so [.] eval", 0.615), ("[kernel]", 0.025)]


def test_content_length_of_a_head() -> None:
    """Names are compared without case; none means no body."""
    assert length("POST / HTTP/1.1\r\ncontent-length: 7\r\n\r\n") == 7
    assert length("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 0


@pytest.mark.parametrize(
    ("allowed", "workers", "cores"),
    [
        ([0, 1], 1, Cores(proxy=(0,), load=1, origin=1, shared=False)),
        ([0, 1, 2, 3], 2, Cores(proxy=(0, 1), load=2, origin=3, shared=False)),
        ([0, 1], 2, Cores(proxy=(0, 1), load=1, origin=1, shared=True)),
        ([5], 1, Cores(proxy=(5,), load=5, origin=5, shared=True)),
    ],
)
def test_cores(allowed: list[int], workers: int, cores: Cores) -> None:
    """The proxy has cores of its own while there are enough, and it is reported when there are not."""
    assert share_out(allowed, workers) == cores


def test_options() -> None:
    """Quick means one round of one second, and any option may still be given."""
    quick = command.parse(["--quick", "--cases", "1k-1"])
    assert (quick.rounds, quick.seconds, quick.cases) == (1, 1, [Case("1k", 1)])
    assert command.parse([]).rounds > 1
    names = [entry.name for entry in command.entered(command.parse(["--workers", "2"]))]
    assert names == [SUBJECT, f"{SUBJECT}-2"]


@pytest.mark.parametrize(
    "argv", [["--peers", "squid"], ["--cases", "1k"], ["--memory", "--profile"]]
)
def test_wrong_options(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage exits with 2 and names the wrong word."""
    with pytest.raises(SystemExit) as leaving:
        command.parse(argv)
    assert leaving.value.code == 2
    assert argv[-1] in capsys.readouterr().err


def test_missing_tools(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without its own tools the benchmark says which, and measures nothing."""
    monkeypatch.setattr(command, "program", lambda name: None if name == "wrk" else name)
    assert command.main(["--quick"]) == 2
    assert "wrk" in capsys.readouterr().err


def test_json_of_results() -> None:
    """Every sample can be written as JSON."""
    results = Results({"1k-32": {"a": [sample(1)]}}, {"a": [delay(1)]}, 5.0, {"b": "absent"})
    written = json.loads(json.dumps(asdict(results)))
    assert written["throughput"]["1k-32"]["a"][0]["requests"] == 1
