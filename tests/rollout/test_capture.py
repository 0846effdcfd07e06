"""The tally: bounded, cheap, and without secrets."""

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.baseline import Baseline
from sidecar.baseline.capture import (
    MAX_CELLS,
    MAX_NAMES,
    MAX_REQUESTS,
    MAX_VARIANTS,
    PER_SECOND,
    ROOM,
    Tally,
)
from sidecar.baseline.file import read_baseline, yaml_text
from sidecar.policy.headers.shapes import OTHER
from sidecar.source import MAX_BYTES
from sidecar.telemetry import Events, Metrics, Telemetry
from tests.policy.making import facts, plan
from tests.portion import FULL
from tests.rollout.observing import ROUTE, START, page, seen


def test_cells_are_route_status_class_and_content_class() -> None:
    """Responses of one kind stand together, whatever their status in the class."""
    api = plan(routes=[{"name": "api", "match": {"path": "/api/**"}}]).routes[0]
    tally = Tally(clock=lambda: START)
    for route, status, media in (
        (ROUTE, 200, "text/html"),
        (ROUTE, 206, "text/html; charset=x"),
        (ROUTE, 500, "text/html"),
        (api, 200, "application/json"),
        (api, 302, ""),
    ):
        tally.observe(route, facts((b"content-type", media.encode()), status=status))

    assert [(*cell.key, cell.responses) for cell in tally.cells()] == [
        ("api", "2xx", "api", 1),
        ("api", "3xx", "none", 1),
        ("default", "2xx", "html", 2),
        ("default", "5xx", "html", 1),
    ]


def test_only_some_responses_of_a_second_are_looked_at() -> None:
    """A flood costs no more than so many looks; another status class, and the next second, have
    their own.
    """
    now = START
    tally = Tally(clock=lambda: now)
    for _ in range(PER_SECOND * 5):
        tally.observe(ROUTE, page())
        tally.observe(ROUTE, page(status=404))
    now += 1
    tally.observe(ROUTE, page())

    assert [(cell.status, cell.responses) for cell in tally.cells()] == [
        ("2xx", PER_SECOND + 1),
        ("4xx", PER_SECOND),
    ]


def test_first_and_last_sight_are_kept() -> None:
    """Each cell tells when it was first and last seen."""
    times = iter((START, START + 5, START + 3600))
    tally = Tally(clock=lambda: next(times))
    for _ in range(3):
        tally.observe(ROUTE, page())

    [cell] = tally.cells()
    assert (cell.first, cell.last) == ("2026-07-19T05:46:40Z", "2026-07-19T06:46:40Z")


def test_what_exceeds_a_cap_is_counted_together() -> None:
    """More values become one other value, more names one number, more examples none."""
    values = [page(("Server", f"s{chr(97 + number)}")) for number in range(MAX_VARIANTS + 3)]
    names = page(*((f"X-N-{number}", "a") for number in range(MAX_NAMES + 3)))
    [cell] = seen(
        *values, names, *(page(path=f"/{chr(97 + number)}") for number in range(MAX_REQUESTS + 3))
    )

    assert cell.headers["server"][OTHER] == 3
    assert len(cell.headers) == MAX_NAMES
    assert cell.beyond == 5
    assert len(cell.requests) == MAX_REQUESTS


def test_a_cookie_is_counted_by_name_and_attributes() -> None:
    """Two lines of one response stay two; the same cookie twice in one response is seen once,
    with two lines.
    """
    [cell] = seen(
        page(("Set-Cookie", "a=1; Secure"), ("Set-Cookie", "b=2")),
        page(("Set-Cookie", "a=3; Secure"), ("Set-Cookie", "a=4")),
    )

    assert cell.cookies == {"a": {("Secure",): 1, ("Secure", ""): 1}, "b": {("",): 1, (): 1}}
    assert "set-cookie" not in cell.headers


@settings(max_examples=4 if FULL else 1)
@given(st.integers(0, 9))
def test_a_hostile_service_cannot_fill_memory_or_the_file(seed: int) -> None:
    """However many routes, names, values and quotes come, the file stays small enough to load
    back.
    """
    tally = Tally(per_second=float("inf"), clock=lambda: START)
    routes = plan(
        routes=[{"name": f"r{number}", "match": {"path": f"/{number}"}} for number in range(60)]
    ).routes
    junk = ('"\\' * 1200, "\xff" * 400, "a", "", '"' * 2040, "\xe9" * 300)
    for number in range(400):
        kind = junk[(number + seed) % len(junk)]
        lines = [
            (f"x-frame-options{'' if entry % 2 else f'-{number}-{entry}'}", f"{kind}{number}")
            for entry in range(40)
        ]
        lines += [("Vary", f"{entry}{number}") for entry in range(20)] + [
            ("Set-Cookie", f"{kind[:90]}{number}{entry}=1; Path={kind}") for entry in range(20)
        ]
        response = page(
            *lines, status=(200, 302, 404, 500)[number % 4], path=f"/{'word/' * 50}", host="h" * 90
        )
        tally.observe(routes[number % len(routes)], response)
    cells = tally.cells()
    text = yaml_text(Baseline(cells, "now", "me", "here"))

    assert len(cells) <= MAX_CELLS
    assert ROOM / 2 < len(text) < MAX_BYTES
    assert read_baseline(text.encode(), "b").cells == cells


@pytest.mark.parametrize("seed", range(3))
def test_secrets_are_never_written(seed: int) -> None:
    """Cookie values, nonces, tokens, queries and ids that a service sends are not in the file."""
    hidden = [secrets.token_hex(12) for _ in range(9)]
    response = page(
        ("Set-Cookie", f"sid={hidden[0]}; Path=/"),
        ("Content-Security-Policy", f"script-src 'nonce-{hidden[1]}'; report-uri /r?k={hidden[2]}"),
        ("X-Auth-Token", hidden[3]),
        ("Location", f"https://shop.example/reset?t={hidden[4]}"),
        ("ETag", f'"{hidden[5]}"'),
        ("WWW-Authenticate", f'Digest nonce="{hidden[6]}"'),
        ("X-Request-Id", hidden[7]),
        path=f"/reset/{hidden[8]}",
        request=[(b"Cookie", hidden[0].encode()), (b"Authorization", hidden[3].encode())],
    )
    text = yaml_text(Baseline(seen(response), "now", "me", "here"))

    assert not [secret for secret in hidden if secret in text]


class _Nowhere:
    dropped = 0

    def write(self, line: str) -> None:
        pass


def test_the_tally_sees_the_service_and_nothing_else() -> None:
    """Telemetry hands over what the service sent, before any change; our own responses are none
    of it.
    """
    telemetry = Telemetry(Events(_Nowhere()), Metrics(process=False))
    compiled = plan({"server": {"action": "remove", "header": "Server"}})
    tallies = telemetry.activated(compiled, "r")
    tally = Tally(clock=lambda: START)
    response = page(("Server", "uvicorn"))
    route = compiled.routes[-1]
    for observer in (None, tally.observe):
        telemetry.observer = observer
        for origin in ("upstream", "sidecar"):
            telemetry.record(
                tallies["default"],
                "r",
                route,
                response,
                route.judge(response),
                origin=origin,
                request_id="1",
            )

    [cell] = tally.cells()
    assert (cell.responses, cell.headers["server"]) == (1, {("uvicorn",): 1})
