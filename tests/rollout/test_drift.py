"""What differs from a baseline, how bad it is, how it is accepted, and how a running sidecar
tells it.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from sidecar.baseline import Cell
from sidecar.baseline.drift import DRIFT_KINDS, SEVERITIES, accept, drift
from sidecar.baseline.file import from_data, yaml_text
from sidecar.baseline.monitor import EVERY, DriftMonitor
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.terms import PolicyError
from sidecar.telemetry import Events, Metrics, Telemetry
from tests.rollout.observing import ANSWERS, baseline, page, seen

CSP, WIDER = "default-src 'self'", "default-src 'self' https://cdn.example"


def _lines(header: str, *values: str) -> Facts:
    return page(*((header, value) for value in values))


CASES: tuple[tuple[str, tuple[str, ...], tuple[str, ...], list[tuple[str, str]]], ...] = (
    # one header in the baseline and now; () = absent
    ("X-Frame-Options", ("DENY",), (), [("lost", "error")]),
    ("X-Frame-Options", ("DENY",), ("SAMEORIGIN",), [("weakened", "error")]),
    ("X-Frame-Options", ("SAMEORIGIN",), ("DENY",), [("changed", "warning")]),
    ("X-Frame-Options", ("DENY",), ("DENY", "DENY"), [("duplicated", "warning")]),
    ("X-Frame-Options", (), ("DENY",), [("added", "info")]),
    ("Content-Security-Policy", (CSP,), (WIDER,), [("weakened", "error")]),
    ("Content-Security-Policy", (WIDER,), (CSP,), [("changed", "warning")]),
    (
        "Content-Security-Policy",
        ("script-src 'nonce-abcdef12'",),
        ("script-src 'nonce-zyxwvu98'",),
        [],
    ),
    ("Content-Security-Policy-Report-Only", (CSP,), (), [("lost", "warning")]),
    (
        "Cross-Origin-Opener-Policy",
        ("same-origin",),
        ("same-origin", "same-origin"),
        [("duplicated", "error")],
    ),
    ("Strict-Transport-Security", ("max-age=600",), ("max-age=0",), [("weakened", "error")]),
    ("Cache-Control", ("no-store",), ("max-age=600",), [("weakened", "error")]),
    ("Access-Control-Allow-Origin", ("https://a.example",), ("*",), [("weakened", "error")]),
    ("Access-Control-Allow-Origin", (), ("*",), [("added", "warning")]),
    ("Access-Control-Allow-Origin", ("*",), (), [("lost", "info")]),
    ("Connection", ("keep-alive",), (), []),
    ("Transfer-Encoding", (), ("chunked",), []),
    ("Server", (), ("nginx",), [("added", "warning")]),
    ("Server", ("nginx",), (), [("lost", "info")]),
    ("Server", ("nginx",), ("caddy",), [("changed", "info")]),
    ("X-Powered-By", (), ("PHP",), [("added", "warning")]),
    ("X-Own", ("a",), (), [("lost", "warning")]),
    ("X-Own", ("a",), ("b c",), [("changed", "info")]),
    ("X-Own", ("a",), ("other-token",), []),
    ("X-Own", (), ("a",), [("added", "info")]),
    ("Date", ("Sun, 22 Nov 2026 13:00:00 GMT",), ("Mon, 23 Nov 2026 14:00:00 GMT",), []),
    ("ETag", ('"a"',), ('W/"b"',), []),
    ("Content-Length", ("1",), ("22222",), []),
    (
        "Set-Cookie",
        ("sid=1; Secure; HttpOnly; SameSite=Lax",),
        ("sid=2; HttpOnly; SameSite=Lax",),
        [("weakened", "error")],
    ),
    ("Set-Cookie", ("sid=1; Secure",), ("sid=2; Secure; HttpOnly",), [("changed", "warning")]),
    ("Set-Cookie", ("sid=1; Secure",), (), [("lost", "info")]),
    ("Set-Cookie", (), ("sid=1",), [("added", "warning")]),
    ("Set-Cookie", (), ("sid=1; Secure; HttpOnly; SameSite=Lax",), [("added", "info")]),
    (
        "Set-Cookie",
        ("sid=1; Secure",),
        ("sid=1; Secure", "sid=; Secure"),
        [("duplicated", "warning")],
    ),
    ("Set-Cookie", ("sid=1",), ("sid=another-value",), []),
)


@pytest.mark.parametrize(("header", "before", "now", "found"), CASES)
def test_each_difference_has_kind_and_severity(
    header: str, before: tuple[str, ...], now: tuple[str, ...], found: list[tuple[str, str]]
) -> None:
    """By effect: lost protection is an error, disclosure and leave a warning; what changes
    always is nothing.
    """
    report = drift(baseline(_lines(header, *before)), seen(_lines(header, *now)))

    assert [(finding.kind, finding.severity) for finding in report.findings] == found
    assert report.compared == 1


def test_a_finding_says_where_what_and_how_often() -> None:
    """Cell, header, both sides as they may be shown, and of how many responses."""
    report = drift(
        baseline(_lines("Content-Security-Policy", CSP)),
        seen(
            *[_lines("Content-Security-Policy", CSP)] * 3, _lines("Content-Security-Policy", WIDER)
        ),
    )

    assert list(report.data()["findings"]) == [
        {
            "route": "default",
            "status": "2xx",
            "content": "html",
            "header": "Content-Security-Policy",
            "part": "",
            "kind": "weakened",
            "severity": "error",
            "before": ((CSP,),),
            "now": ((WIDER,),),
            "seen": 1,
            "responses": 4,
            "why": "default-src allows more",
        }
    ]


def test_the_worst_come_first() -> None:
    """Findings are sorted by severity, and can be cut at one."""
    report = drift(
        baseline(page(("X-Own", "a"), ("X-Frame-Options", "DENY"))),
        seen(page(("Server", "x"), ("X-Own", "a b"))),
    )

    assert [finding.severity for finding in report.findings] == ["error", "warning", "info"]
    assert [len(report.at_least(severity)) for severity in SEVERITIES] == [1, 2, 3]


@pytest.mark.parametrize(("now", "lost"), [(3, False), (10, True)])
def test_a_header_of_some_responses_is_lost_when_chance_does_not_explain_it(
    now: int, lost: bool
) -> None:
    """Half of the responses had it: three without it are chance, ten are not."""
    held = baseline(page(("X-Frame-Options", "DENY")), page())

    assert [finding.kind for finding in drift(held, seen(*[page()] * now)).findings] == [
        "lost"
    ] * lost


def test_many_values_in_the_baseline_leave_room_for_more() -> None:
    """Where a header took more values than are kept, a further one is nothing new; its absence
    is.
    """
    held = baseline(
        *(_lines("Access-Control-Allow-Origin", f"https://{name}.example") for name in "abcdefghi")
    )

    assert (
        drift(held, seen(_lines("Access-Control-Allow-Origin", "https://z.example"))).findings == ()
    )
    assert [finding.kind for finding in drift(held, seen(page())).findings] == ["lost"]


def test_cells_on_one_side_are_named_and_not_judged() -> None:
    """Traffic that did not come, or is new, is no difference of headers."""
    report = drift(
        baseline(page(("Server", "a")), page(status=404)),
        seen(page(("Server", "a")), page(status=500)),
    )

    assert (report.findings, report.compared, report.unseen, report.unknown) == (
        (),
        1,
        ("default 4xx html",),
        ("default 5xx html",),
    )


@given(ANSWERS)
def test_nothing_drifts_from_itself(responses: list[Facts]) -> None:
    """A baseline compared with what it was made from has no findings."""
    held = baseline(*responses)
    report = drift(held, held.cells)

    assert (report.findings, report.unseen, report.unknown) == ((), (), ())


@given(ANSWERS, ANSWERS)
def test_what_is_accepted_is_no_longer_found(before: list[Facts], now: list[Facts]) -> None:
    """After accepting, the same observation has no findings and no unknown cells; who and why is
    written down.
    """
    held, current = baseline(*before), seen(*now)
    report = drift(held, current)
    taken = accept(held, current, report, at="t", by="jo", reason="why")
    again = drift(taken, current)

    assert (again.findings, again.unknown) == ((), ())
    assert (taken is held) == (not report.findings and not report.unknown)
    for entry in taken.accepted:
        assert (entry.at, entry.by, entry.reason) == ("t", "jo", "why")
    assert {cell.key for cell in held.cells} <= {cell.key for cell in taken.cells}


def test_an_acceptance_names_its_changes_and_stays_short() -> None:
    """The entry lists what was taken in, the rest as a number."""
    held = baseline(page(*((f"X-H-{number}", "a") for number in range(60))))
    current = seen(page(), page(status=500))
    [entry] = accept(held, current, drift(held, current), at="t", by="jo", reason="why").accepted

    assert entry.changes[0] == "default 2xx html: X-H-0 lost"
    assert entry.changes[-1] == "and 21 more"


class _Lines:
    dropped = 0

    def __init__(self) -> None:
        self.reported: list[str] = []

    def write(self, line: str) -> None:
        self.reported.append(line)


class _World:
    """A drift_monitor whose traffic and clock the test moves."""

    def __init__(self, file: Path | None) -> None:
        self.now = 0.0
        self.responses: list[Facts] = []
        self.lines = _Lines()
        self.telemetry = Telemetry(Events(self.lines), Metrics(process=False))
        self.drift_monitor = DriftMonitor(
            None if file is None else str(file),
            self._seen,
            lambda: ["default", "api"],
            self.telemetry,
            clock=lambda: self.now,
        )

    async def _seen(self) -> tuple[Cell, ...]:
        return seen(*self.responses)

    async def minute(self, *responses: Facts) -> None:
        """These responses come, and a minute passes."""
        self.responses += responses
        self.now += EVERY
        await self.drift_monitor.tick()

    def count(self, kind: str) -> float:
        """What the metric says of the default route."""
        return self.telemetry.metrics.value("sidecar_drift_total", "default", kind)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A baseline of pages that forbid framing."""
    path = tmp_path / "baseline.yaml"
    path.write_text(yaml_text(baseline(page(("X-Frame-Options", "DENY")))))
    return path


async def test_drift_counts_each_minute_that_it_is_seen(file: Path) -> None:
    """A difference counts once a minute and is reported once; when it is repaired both stop;
    when it returns it is reported again.
    """
    harness = _World(file)
    await harness.drift_monitor.open()
    right, wrong = page(("X-Frame-Options", "DENY")), page()
    counted = []
    for responses in ([right], [right, wrong], [wrong], [right], [], [wrong]):
        await harness.minute(*responses)
        counted.append((harness.count("lost"), len(harness.lines.reported)))

    assert counted == [(0, 0), (1, 1), (2, 1), (2, 1), (2, 1), (3, 2)]
    assert '"event": "baseline.drifted"' in harness.lines.reported[0]


async def test_labels_are_routes_of_the_plan_and_known_kinds(file: Path) -> None:
    """Every route and kind stands at zero after the first check, and no other label ever does."""
    harness = _World(file)
    await harness.drift_monitor.open()
    await harness.minute()

    cells = harness.telemetry.metrics.snapshot()["sidecar_drift_total"]
    assert {labels for labels, _ in cells} == {
        (route, kind) for route in ("default", "api") for kind in DRIFT_KINDS
    }


async def test_it_waits_a_minute_between_checks_but_not_when_asked(file: Path) -> None:
    """Ticks within the minute look at nothing; asking checks now and tells the findings."""
    harness = _World(file)
    await harness.drift_monitor.open()
    harness.responses.append(page())
    harness.now = EVERY - 1
    await harness.drift_monitor.tick()
    before = harness.count("lost")
    data = await harness.drift_monitor.reported()

    assert (before, harness.count("lost")) == (0, 1)
    assert [found["kind"] for found in data["drift"]["findings"]] == ["lost"]
    assert from_data(data["tally"]).cells == seen(page())


async def test_without_a_file_there_is_a_tally_and_no_drift() -> None:
    """Nothing is configured: nothing is compared, and no series appears."""
    harness = _World(None)
    await harness.drift_monitor.open()
    await harness.minute(page())
    data: dict[str, Any] = await harness.drift_monitor.reported()

    assert data["drift"] is None
    assert from_data(data["tally"]).cells == seen(page())
    assert harness.telemetry.metrics.snapshot()["sidecar_drift_total"] == []


async def test_a_file_that_is_accepted_anew_counts_at_once_and_a_broken_one_never(
    file: Path,
) -> None:
    """The next check reads the file again; what cannot be read is reported and the old one
    stays.
    """
    harness = _World(file)
    await harness.drift_monitor.open()
    file.write_text("version: 1\n")
    await harness.minute(page())
    broken = harness.count("lost")
    file.write_text(yaml_text(baseline(page())))
    await harness.minute(page())

    assert (broken, harness.count("lost")) == (1, 1)
    assert '"event": "baseline.rejected"' in harness.lines.reported[0]
    assert "key 'made' is missing" in harness.lines.reported[0]


@pytest.mark.parametrize("text", [None, "cells: {", "version: 1"])
async def test_a_baseline_that_cannot_be_used_stops_the_start(
    tmp_path: Path, text: str | None
) -> None:
    """Missing, no YAML, or not a baseline: the operator hears of it before anything listens."""
    path = tmp_path / "baseline.yaml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(PolicyError):
        await _World(path).drift_monitor.open()
