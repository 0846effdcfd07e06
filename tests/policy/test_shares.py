"""Enforcing for a share of clients: who is in, and which answers never are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.engine.plan import decide
from sidecar.policy.rules.shares import position, shared_cacheable
from tests.policy.making import facts, plan

SET = {"header": "X-Odd", "action": "set", "value": "1"}


@given(st.text())
def test_a_client_stands_between_0_and_1_for_ever(client: str):
    """The place depends on the address alone."""
    assert 0 <= position(client) < 1
    assert position(client) == position(client)


def test_clients_are_spread_evenly():
    """A tenth of many addresses stands below 0.1, give or take."""
    below = sum(position(f"192.0.{high}.{low}") < 0.1 for high in range(40) for low in range(250))

    assert 850 < below < 1150


def test_the_places_are_pinned():
    """A new version does not shuffle who is in."""
    assert [round(position(client), 6) for client in ("192.0.2.1", "192.0.2.2", "2001:db8::1")] == [
        0.093497,
        0.975839,
        0.828929,
    ]


@pytest.mark.parametrize(
    ("top", "rule", "enforced"),
    [
        (None, "10%", True),
        ("10%", None, True),
        ("100%", "9%", False),
        ("9%", "100%", False),
        (None, "100%", True),
        (None, "9.35%", True),
    ],
)
def test_the_lower_share_counts(top: str | None, rule: str | None, enforced: bool):
    """The policy's share is a ceiling; the client at 0.0935 is in from there on, and stays in."""
    made = plan({"it": SET | ({"share": rule} if rule else {})}, **({"share": top} if top else {}))

    assert decide(made.routes[-1], facts(client="192.0.2.1")).changed is enforced


def test_clients_outside_are_reported_as_in_report_only():
    """They get the service's own lines, and the finding says report-only."""
    situation = facts((b"x-odd", b"2"), client="192.0.2.2")
    decision = decide(plan({"it": SET | {"share": "50%"}}).routes[-1], situation)

    assert decision.fields is situation.fields
    assert [(finding.mode, finding.made) for finding in decision.findings] == [
        ("report-only", False)
    ]


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        ("GET", [], False),
        ("GET", [(b"cache-control", b"public")], True),
        ("HEAD", [(b"cache-control", b"x, S-MaxAge = 5")], True),
        ("GET", [(b"cache-control", b"max-age=60")], True),
        ("GET", [(b"cache-control", b"must-revalidate")], True),
        ("GET", [(b"cache-control", b"max-age=60"), (b"cache-control", b"Private")], False),
        ("GET", [(b"cache-control", b"no-store, public")], False),
        ("GET", [(b"cache-control", b"no-cache")], False),
        ("GET", [(b"expires", b"0")], True),
        ("GET", [(b"last-modified", b"x")], True),
        ("POST", [(b"cache-control", b"public")], False),
    ],
)
def test_what_a_shared_cache_may_keep_is_never_shared_out(
    method: str, fields: list[tuple[bytes, bytes]], expected: bool
):
    """One client's variant would be served to all."""
    situation = facts(*fields, method=method, client="192.0.2.1")
    seen = {name: tuple(value for other, value in fields if other == name) for name, _ in fields}

    assert shared_cacheable(situation, seen) is expected
    assert (
        decide(plan({"it": SET | {"share": "10%"}}).routes[-1], situation).changed is not expected
    )
