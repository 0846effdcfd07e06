"""The benchmark: its arithmetic, parsing and tables, its own services, and one small run to the
end.
"""

import asyncio
import itertools
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import __main__ as command
from bench import compiled
from bench.chart import PICTURE, drawn, figures
from bench.load import Case, Latency, Throughput, parse_case, parse_wrk
from bench.machine import processor
from bench.memory import Footprint, length
from bench.messages import ASK, talk
from bench.origin import size_in_bytes
from bench.paced import Exchange, complete, offer, percentile
from bench.peers import GROWN, PEERS, REMOVE, SET, SUBJECT, Peer, Site, grown
from bench.process import Cores, share_out
from bench.profile import by_file, own_time, parse_perf, shares
from bench.report import (
    BEGIN,
    END,
    Demand,
    demands_table,
    described,
    document,
    memory_demands,
    memory_table,
    p99_ratio,
    paired_ratio,
    ratio,
    rewritten,
    shares_table,
    speed_demands,
)
from bench.rounds import Results, bearable
from bench.sink import ANSWER, PAGE, TAKEN, Sink
from bench.start import Start
from bench.verify import complaints
from tests.listening import listening
from tests.portion import full

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


@pytest.mark.parametrize(("name", "size"), [("1k", 1024), ("100k", 102_400), ("10m", 10_485_760)])
def test_size_names(name: str, size: int) -> None:
    """A size is a number of KiB or MiB."""
    assert size_in_bytes(name) == size


@pytest.mark.parametrize("name", ["", "k", "1", "1g", "-1k", "1.5k"])
def test_wrong_size_names(name: str) -> None:
    """Anything else is refused by name."""
    with pytest.raises(ValueError, match="is not a size"):
        size_in_bytes(name)


@pytest.mark.parametrize(
    ("text", "case", "words"),
    [
        ("100k-256", Case("100k", 256), "100 KiB (256)"),
        ("upload-1m-8", Case("1m", 8, "upload"), "uploads of 1 MiB (8)"),
        ("fresh-1k-32", Case("1k", 32, "fresh"), "1 KiB, a new connection for each (32)"),
        ("websocket-32", Case("1k", 32, "websocket"), "WebSocket, 128 bytes there and back (32)"),
    ],
)
def test_case_reads_back(text: str, case: Case, words: str) -> None:
    """A case prints as it is written, and as people say it."""
    assert (str(parse_case(text)), parse_case(text), described(case)) == (text, case, words)


@pytest.mark.parametrize(
    "wrong", ["1k", "1k-", "1k-0", "1k-x", "32-1k", "upload-8", "download-1k-8"]
)
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


def test_wrk_failure_is_reported() -> None:
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


def test_the_document_has_medians_ratios_and_verdicts() -> None:
    """Every figure in the unit of its column; what was not measured is named with the reason."""
    results = Results(
        {
            "varied-32": {
                "nginx": [sample(1000), sample(900), sample(9000)],
                SUBJECT: [sample(400), sample(360), sample(4000)],
            }
        },
        {"nginx": [delay(1.0)], SUBJECT: [delay(2.0)]},
        50.0,
        {SUBJECT: 2048.0},
        {SUBJECT: [Start(0.5, 0.25)]},
        {"caddy": "not installed"},
    )
    larger = Results({"varied-32": {"small": [sample(100, 1.0)], "large": [sample(100, 1.2)]}})
    shown = document(results, larger, "a machine")
    for cell in (
        "| 1,000, 1,000.0 us | 400, 2,500.0 us |",
        "| 0.40 (0.40)",
        "| 500 ms   | 250 ms | 2.0 KiB            | 1.00 ms     | 2.00 ms     | 0    |",
        "| large  | 12000.0 us | 1.20",
        "| CPU with large : small ",
        "| at most 1.1  | 1.20     | missed       |",
        "Not measured: caddy.",
        "a machine",
    ):
        assert cell in shown


def test_the_picture_has_the_figures_of_the_table() -> None:
    """Each figure of the document's first table stands in its picture, as text and as a bar whose
    length is in proportion within its case.
    """
    found = figures(command.DOCUMENT.read_text("utf-8"))
    root = ET.fromstring((command.DOCUMENT.parent / PICTURE).read_text("utf-8"))
    bars = [each for each in root.findall(".//{*}rect") if each.get("class") in ("good", "open")]
    texts = [each.text for each in root.findall(".//{*}text") if each.get("class") == "faint"]
    measured = [list(filter(None, row.values())) for row in found.values()]
    widths = iter(float(bar.get("width", "")) for bar in bars)

    assert len(bars) == sum(map(len, measured))
    assert [text for text in texts if text != "not measured"] == [
        f"{each:,.1f} us" if each < 10_000 else f"{each / 1000:,.1f} ms"
        for row in measured
        for each in row
    ]
    for row in measured:
        longest, *lengths = max(row), *itertools.islice(widths, len(row))
        assert lengths == pytest.approx([max(lengths) * each / longest for each in row], rel=1e-3)


def test_what_is_written_is_what_is_drawn(tmp_path: Path) -> None:
    """`--write` puts the tables into the document, and draws the picture from them."""
    file, results = tmp_path / "performance.md", Results()
    file.write_text(f"# What it costs\n\n{BEGIN}\n{END}\n", "utf-8")
    results.throughput["1k-32"] = {
        "sidecar": [Throughput(2000.0, 1.0, 0, 0.030)],
        "nginx": [Throughput(50.0, 1.0, 0, 0.600)],
        "caddy": [],
    }
    command.write(file, document(results, Results(), "A machine."))
    text = file.read_text("utf-8")

    assert figures(text) == {"1 KiB (32)": {"sidecar": 15.0, "nginx": 12_000.0, "caddy": None}}
    assert (tmp_path / PICTURE).read_text("utf-8") == drawn(figures(text))


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ("nothing", "no table"),
        ("| a second | nginx |\n|---|---|\n| 1 KiB (32) | 15.3 us |", "no rate with its CPU time"),
    ],
)
def test_a_document_without_figures_is_refused(part: str, complaint: str) -> None:
    """What cannot be drawn is named."""
    with pytest.raises(ValueError, match=complaint):
        figures(f"{BEGIN}\n\n{part}\n\n{END}")


def test_only_the_measured_part_is_rewritten() -> None:
    """What people wrote around it stays; a document without a place for it is refused."""
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert rewritten(text, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert rewritten(rewritten(text, "a"), "new") == rewritten(text, "new")
    with pytest.raises(ValueError, match="measured"):
        rewritten("before", "new")


def test_other_tables() -> None:
    """Each shows its figures in the unit of its title."""
    mib = 1 << 20
    row = Footprint(idle=50 * mib, streaming=75 * mib, requests=1000, early=52 * mib, late=53 * mib)
    shown = memory_table({SUBJECT: row})
    assert all(cell in shown for cell in ("| 50.0 ", "| 75.0 ", "| 25.0 ", "| 1,000 ", "| 1.0 "))
    assert "[kernel]" in shares_table("by library", [("[kernel]", 0.5)])
    verdicts = [demand.verdict for demand in memory_demands(row)]
    assert verdicts == ["met", "missed", "met"]
    assert "missed" in demands_table(memory_demands(row))


def test_demands_of_an_absent_sidecar() -> None:
    """What was not measured is neither met nor missed."""
    every = [*speed_demands(Results(), Results()), *memory_demands(None)]
    assert {demand.verdict for demand in every} == {"not measured"}


def test_dropping_a_contender() -> None:
    """Who failed in one case is named, and none of its samples of that case stays."""
    results = Results({"1k-32": {"a": [sample(1)], "b": [sample(1)]}}, {"a": [delay(1)]})
    results.drop("1k-32", "a", "broke")
    assert (results.skipped, list(results.throughput["1k-32"]), list(results.latency)) == (
        {"a, 1k-32": "broke"},
        ["b"],
        ["a"],
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
def test_every_peer_is_given_all_ten_rules(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each configuration names every header to set with its value, and every one to remove."""
    monkeypatch.setattr(compiled, "compiled", lambda: tmp_path / "native")
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
    report = (
        "# Overhead  Shared Object\n\n    61.50%  libpython3.11.so   [.] eval\n     2.50% "
        " [kernel]\n"
    )
    assert parse_perf(report) == [("libpython3.11.so [.] eval", 0.615), ("[kernel]", 0.025)]


def test_content_length_of_a_head() -> None:
    """Names are compared without case; none means no body."""
    assert length("POST / HTTP/1.1\r\ncontent-length: 7\r\n\r\n") == 7
    assert length("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 0


@pytest.mark.parametrize(
    ("allowed", "cores"),
    [
        ([0, 1], Cores(proxy=0, load=1, origin=1, shared=False)),
        ([0, 1, 2, 3], Cores(proxy=0, load=1, origin=2, shared=False)),
        ([5], Cores(proxy=5, load=5, origin=5, shared=True)),
    ],
)
def test_cores(allowed: list[int], cores: Cores) -> None:
    """The proxy has a core of its own while there are two, and it is reported when there are
    not.
    """
    assert share_out(allowed) == cores


def test_the_processor_by_its_model() -> None:
    """And whether it is a virtual machine's."""
    assert (
        processor("model name\t: Some CPU\nflags\t: fpu hypervisor\n")
        == "Some CPU, virtual machine"
    )
    assert processor("model name\t: Some CPU\nflags\t: fpu\n") == "Some CPU"


def test_options() -> None:
    """Quick means one round of one second, and any option may still be given."""
    quick = command.parse(["--quick", "--cases", "1k-1"])
    assert (quick.rounds, quick.seconds, quick.cases) == (1, 1, [Case("1k", 1)])
    assert command.parse([]).rounds > 1


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


def test_larger_policies_are_larger(tmp_path: Path) -> None:
    """The route that is asked for stands last, and has as many rules as its name says."""
    peers = grown(next(peer for peer in PEERS if peer.name == "sidecar-plain"))
    for peer, (routes, rules) in zip(peers, GROWN, strict=True):
        peer.command(Site(tmp_path, port=40001, upstream=40002))
        policy = json.loads((tmp_path / "policy.yaml").read_text())
        assert (len(policy["routes"]), len(policy["routes"][-1]["rules"])) == (routes, rules)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"GET /1k HTTP/1.1\r\nHost: a\r\n\r\n", PAGE),
        (b"POST /1m HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345", TAKEN),
        (b"POST /1m HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", TAKEN),
    ],
)
async def test_the_service_for_bodies(asked: bytes, answered: bytes) -> None:
    """It answers when the body is whole, however it comes, and goes on with the next request."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for byte in asked:
            writer.write(bytes([byte]))
            await writer.drain()
        assert await reader.readexactly(len(answered)) == answered
        writer.write(asked)
        assert await reader.readexactly(len(answered)) == answered
        writer.close()


async def test_messages_there_and_back() -> None:
    """The client opens tunnels, and counts whole answers of the service."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    async with server:
        found = await talk(server.sockets[0].getsockname()[1], 2, 0.2)
    assert found["errors"] == 0
    assert found["bytes"] == found["requests"] * len(ANSWER) > 0
    assert len(ASK) == len(ANSWER) + 4


async def test_a_tunnel_that_does_not_open() -> None:
    """What was said instead is the error."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    async with listening(refuse) as port:
        with pytest.raises(ConnectionError, match="502"):
            await talk(port, 1, 0.1)


def test_json_of_results() -> None:
    """Every sample can be written as JSON."""
    results = Results(
        {"1k-32": {"a": [sample(1)]}}, {"a": [delay(1)]}, 5.0, skipped={"b": "absent"}
    )
    written = json.loads(json.dumps(asdict(results)))
    assert written["throughput"]["1k-32"]["a"][0]["requests"] == 1


@full
@pytest.mark.skipif(
    any(shutil.which(name) is None for name in command.NEEDED),
    reason="the benchmark's own tools are absent",
)
@full
def test_a_small_run(tmp_path: Path) -> None:
    """One round through everything: each case has samples, the document its tables, and nothing
    failed.
    """
    file, samples = tmp_path / "performance.md", tmp_path / "samples.json"
    file.write_text(f"# What it costs\n\n{BEGIN}\n{END}\n", "utf-8")
    argv = [
        "--quick",
        "--peers",
        "sidecar-plain,nginx",
        "--write",
        str(file),
        "--json",
        str(samples),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *argv],
        cwd=command.ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stderr
    speed = json.loads(samples.read_text())["speed"]
    assert speed["skipped"] == {}
    assert set(speed["throughput"]) == set(command.QUICK_CASES.split(","))
    rows = [row for rows in speed["throughput"].values() for row in rows.values()]
    assert all(row[0]["requests"] > 0 for row in rows)
    assert len(rows) == 2 * len(speed["throughput"])
    assert set(speed["starts"]) == set(speed["held"]) == {"sidecar-plain", "nginx"}
    text = file.read_text("utf-8")
    assert all(described(parse_case(case)) in text for case in speed["throughput"])
    assert str(tmp_path) not in text
