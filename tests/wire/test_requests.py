"""The client's side, case by case: refused or passed, whole and byte by bytes, each followed by a
canary.

The runner over `REFUSED` and `PASSED`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

import pytest

from tests.wire.requests_passed import PASSED, Passed
from tests.wire.requests_refused import REFUSED
from tests.wire.stage import Stage

T = TypeVar("T")


def ways(table: dict[str, T], raw: Callable[[T], bytes]) -> pytest.MarkDecorator:
    """Each case whole, and byte by bytes where that is not endless."""
    return pytest.mark.parametrize(
        ("case", "bytewise"),
        [pytest.param(case, False, id=f"{name}, whole") for name, case in table.items()]
        + [
            pytest.param(case, True, id=f"{name}, bytes")
            for name, case in table.items()
            if len(raw(case)) <= 3000 and "waits" not in name
        ],
    )


@ways(REFUSED, lambda case: case[0])
def test_refused(stage: Stage, case: tuple[bytes, int], bytewise: bool) -> None:
    """The request is answered by us with the policy applied, nothing whole reaches the upstream,
    and the connection ends.
    """
    raw, status = case
    before = sum(line.count('"request.rejected"') for line in stage.events.lines)

    with stage.flying() if status == 408 else nullcontext():
        replies = stage.talk(raw, bytewise=bytewise, responses=2)

    assert [reply.status for reply in replies] == [status]
    assert replies[0].values("x-policy") == ["on"]
    assert replies[0].values("connection") == ["close"]
    assert replies[0].values("server") == []
    assert replies[0].version == "1.1"
    stage.canary()
    assert [
        request.target
        for request in stage.origin.requests
        if not request.target.startswith("/canary")
    ] == []
    assert sum(line.count('"request.rejected"') for line in stage.events.lines) == before + 1


@ways(PASSED, lambda case: case.raw)
def test_passed(stage: Stage, case: Passed, bytewise: bool) -> None:
    """The upstream sees exactly the request that was meant, and the client its response with the
    policy applied.
    """
    reply = stage.talk(case.raw, bytewise=bytewise, method=case.method)[0]

    assert reply.status == 200
    assert reply.values("x-policy") == ["on"]
    (seen,) = stage.origin.requests
    assert (seen.method, seen.target, seen.body) == (case.method, case.target, case.body)
    assert [line for line in seen.headers if line in case.has] == list(case.has)
    names = [name.lower() for name, _ in seen.headers]
    assert not set(case.lacks) & set(names)
    assert (
        len(seen.values("host"))
        == len(seen.values("x-forwarded-for"))
        == len(seen.values("x-request-id"))
        == 1
    )
    assert len([name for name in names if name in ("content-length", "transfer-encoding")]) <= 1
    stage.canary()
    assert stage.origin.errors == []
