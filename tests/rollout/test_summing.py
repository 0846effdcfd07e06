"""Laws of evidence that several replicas gathered: sums in any order, causes once each, nothing
that a store may hold does harm.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.rollout.model import Cause, Climb, Evidence, TrialEvidence
from sidecar.rollout.summing import (
    Watch,
    merged,
    rows_of,
    summed,
    together,
    with_causes,
)

MEANINGS = {("default", "csp"): "m1"}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def cause(identity: str, kind: str = "served", count: int = 1) -> Cause:
    """A cause as a sidecar knows it."""
    what = ("csp-violation", "img-src", "https://x.test/a", "", "", ("/",), count, 1)
    about = (("chromium",), 1.0, 2.0, kind, "https://s.test", ())
    return Cause(identity, "default", "csp", kind, *what, *about)


def seen(since: float, loads: float, *causes: Cause, **more: Any) -> Evidence:
    """What one replica saw of the one rule."""
    canaries = {"chromium": (loads, loads / 2)}
    reports = {"served": float(len(causes))}
    trial = TrialEvidence(loads, 5.0, loads, canaries, reports, causes, {"chromium": loads})
    counts = {"evaluated": loads * 2, "affected": loads, "kinds": {"missing": loads}}
    return Evidence(
        "default", "csp", "trial", since, outcomes={"safe": 1.0}, trial=trial, **counts, **more
    )


def row(item: Evidence, meaning: str = "m1") -> dict[str, Any]:
    """As it comes out of the store."""
    data: dict[str, Any] = json.loads(json.dumps({**asdict(item), "meaning": meaning}))
    return data


def test_replicas_are_summed():
    """Every number, each cause once with the counts of all."""
    one, other = seen(50.0, 4.0, cause("a"), cause("b")), seen(10.0, 6.0, cause("a", count=3))
    (whole,) = summed(
        [one], rows_of([row(other)], MEANINGS, 0.0)[0], {("default", "csp"): 60.0}, 90.0
    )

    assert (whole.since, whole.evaluated, whole.affected) == (30.0, 20.0, 10.0)
    assert (whole.kinds, whole.outcomes) == ({"missing": 10.0}, {"safe": 2.0})
    assert (whole.trial.loads, whole.trial.settled, whole.trial.settle) == (10.0, 10.0, 5.0)
    assert whole.trial.canaries == {"chromium": (10.0, 5.0)}
    assert whole.trial.reports == {"served": 3.0}
    assert whole.trial.engines == {"chromium": 10.0}
    assert [(one.id, one.count) for one in whole.trial.causes] == [("a", 4), ("b", 1)]


def test_examples_of_all_replicas_are_shown():
    """So many as of one; what another sent is cut to what may be printed."""
    one = seen(0.0, 1.0, examples={"open": ("GET /a",)})
    other = seen(
        0.0, 1.0, examples={"open": ("GET /a", "GET /\x1b" + "b" * 300, "GET /c", "GET /d")}
    )
    (whole,) = summed([one], rows_of([row(other)], MEANINGS, 0.0)[0])

    assert whole.examples == {"open": ("GET /a", "GET /?" + "b" * 194, "GET /c")}


@pytest.mark.parametrize(
    ("watches", "expected"),
    [
        ([Watch(5.0, 5.0, 100.0)], 5.0),
        ([Watch(5.0, 5.0, 100.0), Watch(5.0, 5.0, 100.0)], 5.0),
        ([Watch(5.0, 5.0, 100.0), Watch(10.0, 10.0, 97.0)], 13.0),
        ([Watch(5.0, 5.0, 100.0), Watch(2.0, 2.0, 10.0)], 7.0),
        ([Watch(50.0, 5.0, 100.0), Watch(12.0, 12.0, 90.0)], 50.0),
        ([Watch(0.0, 0.0, 100.0)], 0.0),
    ],
)
def test_what_nobody_watched_is_not_watched(watches: list[Watch], expected: float):
    """A replica that is gone for days does not count for them, and two at once count once."""
    assert together(watches) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"watched": 9.0, "run": 5.0}, [(9.0, 5.0, 70.0)]),
        ({}, []),
        ({"watched": 5.0, "run": 9.0}, []),
        ({"watched": -5.0, "run": -9.0}, []),
        ({"watched": 1e999, "run": 1.0}, []),
        ({"watched": "9", "run": 1.0}, []),
        ({"watched": None, "run": []}, []),
    ],
)
def test_a_watch_is_believed_where_it_can_be(words: dict[str, Any], expected: object):
    """Whatever the store holds, and whatever the clock of the replica says."""
    data = row(seen(1e12, 1.0)) | words
    assert list(rows_of([data, None, 3], MEANINGS, 70.0)[1].values()) == expected


def test_another_meaning_of_the_rule_bears_no_witness():
    """A replica that lags, or is gone since before the last edit."""
    assert rows_of([row(seen(1.0, 9.0), "m0")], MEANINGS, 0.0)[0] == []
    (whole,) = summed([seen(1.0, 2.0)], [])
    assert whole.evaluated == 4.0


def test_browsers_keep_the_longest_promise_of_any_replica():
    """The step is this replica's own."""
    own = seen(1.0, 1.0, climb=Climb(2, (60, 600)))
    other = row(seen(1.0, 1.0, climb=Climb(2, (60, 600), 600, 99.0)))
    (whole,) = summed([own], rows_of([other], MEANINGS, 0.0)[0])
    assert whole.climb == Climb(2, (60, 600), 600, 99.0)


def test_own_numbers_stay_where_only_causes_are_taken():
    """What the gate of one replica sees."""
    (own,) = with_causes(
        [seen(9.0, 2.0)], rows_of([row(seen(1.0, 5.0, cause("a")))], MEANINGS, 0.0)[0]
    )
    assert (own.since, own.evaluated, [one.id for one in own.trial.causes]) == (9.0, 4.0, ["a"])


@pytest.mark.parametrize("kinds", list(permutations(CAUSE_KINDS, 2)))
def test_a_page_that_any_replica_served_speaks_for_all(kinds: tuple[str, str]):
    """Of two words on one cause the one that weighs more against the rule holds, with its
    reason.
    """
    (found,) = merged([cause("a", kind) for kind in kinds])
    strongest = min(kinds, key=list(CAUSE_KINDS).index)
    assert (found.kind, found.why) == (strongest, strongest)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(list(CAUSE_KINDS)), st.integers(1, 9))
    )
)
def test_causes_are_the_same_in_any_order(given: list[tuple[str, str, int]]):
    """And none is lost or counted twice."""
    causes = [cause(*one) for one in given]
    found = merged(causes)
    backwards = merged(causes[::-1])

    assert [(one.id, one.kind, one.count) for one in found] == [
        (one.id, one.kind, one.count) for one in backwards
    ]
    assert sum(one.count for one in found) == sum(count for _, _, count in given)


def test_causes_are_bounded():
    """The strongest two hundred of a rule."""
    found = merged(cause(str(number), "noise") for number in range(500))
    assert len(found) == 200


@given(JSON)
def test_whatever_the_store_holds_is_no_fault(data: object):
    """What is no evidence is left out."""
    assert rows_of(data, MEANINGS, 0.0)[0] == []


@given(st.sampled_from(sorted(row(seen(1.0, 2.0, cause("a"))))), JSON)
def test_a_row_with_one_wrong_value_is_left_out_or_read(key: str, value: object):
    """Never a traceback, never a number below zero."""
    for item in rows_of([row(seen(1.0, 2.0, cause("a"))) | {key: value}], MEANINGS, 0.0)[0]:
        assert item.evaluated >= 0
        assert summed([seen(1.0, 1.0)], [item])
