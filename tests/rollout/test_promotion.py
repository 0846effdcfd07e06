"""Promotion edits: the intended bytes change, and no others; the meaning moves as asked, and no
further.
"""

import difflib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.terms import Mode, PolicyError
from sidecar.rollout.promotion import effective, enforced, promote, reported, standing, step_back
from sidecar.source import load_policy

ABOUT = "owner: me@example.com\nexpected: it works\nrollback: sidecar rollback\n"
STEPWISE = f"""\
# a comment at the top
version: 1
{ABOUT}mode: enforce
rules:
  nosniff: {{header: X-Content-Type-Options, action: set, value: nosniff, mode: report-only}}   # keep me
  frames:
      header: X-Frame-Options   # odd indentation
      action: set
      value: DENY
      mode: 'report-only' # and me
  quoted: {{header: X-Q, action: set, value: "a: b # c", "mode": "report-only"}}
"""  # noqa: E501
CEILING = f"""\
version: 1
{ABOUT}mode: report-only   # the one switch
rules:
  nosniff: {{header: X-Content-Type-Options, action: set, value: nosniff}}
  frames:
    header: X-Frame-Options
    action: set
    value: DENY
"""


def changed(before: str, after: str) -> list[str]:
    """The lines that went and came."""
    data = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line for line in data if line[0] in "+-"]


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        (
            "nosniff",
            "value: nosniff, mode: report-only}   # keep me",
            "value: nosniff, mode: enforce}   # keep me",
        ),
        ("frames", "mode: 'report-only' # and me", "mode: 'enforce' # and me"),
        ("quoted", '"mode": "report-only"}', '"mode": "enforce"}'),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_one_word_changes(rule: str, old: str, new: str, newline: str):
    """Where a rule says its mode, that word changes and every other byte stays, whatever the
    line ends.
    """
    before = STEPWISE.replace("\n", newline)

    assert promote(before, [rule]) == before.replace(old, new)


def test_a_ceiling_is_raised_for_one_rule_alone():
    """Under a report-only ceiling the others are written down to report-only, so that nothing
    else moves.
    """
    after = promote(CEILING, ["frames"])

    assert changed(CEILING, after) == [
        "- mode: report-only   # the one switch\n",
        "+ mode: enforce   # the one switch\n",
        "-   nosniff: {header: X-Content-Type-Options, action: set, value: nosniff}\n",
        (
            "+   nosniff: {mode: report-only, header: X-Content-Type-Options, action: set, value:"
            " nosniff}\n"
        ),
        "+     mode: enforce\n",
    ]


def test_a_preset_rule_is_overridden_in_the_file():
    """A rule that stands in a preset alone gets an override of one line, first in its block."""
    before = (
        f"version: 1\n{ABOUT}mode: enforce\nextends: [oshp-2026-07]\nrules:\n  # mine\n  hsts:"
        " {mode: report-only}\n"
    )
    held = before.replace("mode: enforce\n", "mode: report-only\n", 1)

    after = promote(held, ["corp"])

    assert "  corp: {mode: enforce}\n" in after
    assert {
        rule
        for (_, rule), mode in effective(load_policy(after.encode(), "x")).items()
        if mode == "enforce"
    } == {"corp"}


def test_a_file_without_rules_gets_them():
    """The block is made where there is none."""
    before = f"version: 1\n{ABOUT}mode: enforce\nextends: oshp-2026-07"

    after = promote(before.replace("mode: enforce", "mode: report-only"), ["coop"])

    assert after.endswith("}\n")
    assert effective(load_policy(after.encode(), "x"))["default", "coop"] == "enforce"


def test_a_route_override_moves_with_its_rule():
    """An override that says report-only on a route is promoted too; one that says off stays off."""
    before = (
        STEPWISE + "routes:\n  - name: api\n    match: {path: /api/**}\n    rules: {nosniff: {mode:"
        " report-only}}\n  - name: old\n    match: {path: /old/**}\n    rules:\n      nosniff:"
        " {mode: off}\n"
    )

    modes = effective(load_policy(promote(before, ["nosniff"]).encode(), "x"))

    assert {route: modes[route, "nosniff"] for route in ("api", "old", "default")} == {
        "api": "enforce",
        "old": "off",
        "default": "enforce",
    }


ANCHORED = f"""\
version: 1
{ABOUT}mode: enforce
x-modes: {{trial: &trial report-only}}
rules:
  one: {{header: X-One, action: set, value: a, mode: *trial}}
  two: {{header: X-Two, action: set, value: b, mode: *trial}}
  three: &base
    header: X-Three
    action: set
    value: c
    mode: &held report-only
  four: {{header: X-Four, action: set, value: d, mode: *held}}
"""


def test_an_alias_is_replaced_where_it_stands():
    """The other users of the anchor keep theirs."""
    assert promote(ANCHORED, ["one"]) == ANCHORED.replace(
        "value: a, mode: *trial", "value: a, mode: enforce"
    )


def test_an_anchor_that_others_use_is_not_moved():
    """Changing an anchored word would change every alias of it: refused, in words."""
    with pytest.raises(PolicyError, match="'four'.*was not asked for"):
        promote(ANCHORED, ["three"])


def test_a_rule_written_as_an_alias_is_refused():
    """There is no place for a mode of its own."""
    text = ANCHORED + "  five: *base\n"

    with pytest.raises(PolicyError, match="alias|not asked for"):
        promote(
            text.replace("    mode: &held report-only\n", "")
            .replace(", mode: *held", "")
            .replace("mode: enforce\n", "mode: report-only\n", 1),
            ["five"],
        )


@pytest.mark.parametrize("missing", ["owner", "expected", "rollback"])
def test_an_enforcing_rule_needs_its_words(missing: str):
    """Without owner, expected result or rollback nothing is promoted."""
    text = "".join(
        line for line in STEPWISE.splitlines(keepends=True) if not line.startswith(missing)
    )

    with pytest.raises(PolicyError, match=f"without {missing}; write `{missing}: "):
        promote(text, ["nosniff"])


def test_an_unknown_rule_is_reported_with_the_nearest():
    """A slip of the finger changes nothing."""
    with pytest.raises(PolicyError, match="unknown rule 'nosnif'; did you mean 'nosniff'"):
        promote(STEPWISE, ["nosnif"])


def test_promoting_again_changes_nothing():
    """A promotion is idempotent."""
    once = promote(STEPWISE, ["nosniff"])

    assert promote(once, ["nosniff"]) == once


@given(
    st.sets(st.sampled_from(["nosniff", "frames", "quoted"]), min_size=1),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_exactly_the_named_rules_move(rules: set[str], newline: str, ceiling: bool):
    """Whatever is promoted, the effective mode of every other rule stays, and promoting in turn
    is the same.
    """
    text = STEPWISE.replace("\n", newline)
    text = (
        text.replace(f"{newline}mode: enforce", f"{newline}mode: report-only", 1)
        if ceiling
        else text
    )
    was = effective(load_policy(text.encode(), "x"))

    after = promote(text, sorted(rules))

    now = effective(load_policy(after.encode(), "x"))
    assert {place for place in now if now[place] != was[place]} == {
        ("default", rule) for rule in rules
    }
    assert all(now["default", rule] == "enforce" for rule in rules)


@pytest.mark.parametrize(
    "text",
    [
        CEILING,
        CEILING.replace("\n", "\r\n"),
        CEILING.replace("mode: report-only   # the one switch\n", ""),
    ],
)
def test_the_one_switch(text: str):
    """`enforced` changes the top word, or writes it, and nothing else where no rule has a mode
    of its own.
    """
    after = enforced(text)

    assert load_policy(after.encode(), "x").mode == "enforce"
    assert len(changed(text, after)) in (1, 2)


ROUTED = (
    STEPWISE
    + """\
  kept-off: {header: X-Off, action: set, value: x, mode: off}
routes:
  - name: api
    match: {path: /api/*}
    mode: report-only
    rules: {nosniff: {mode: report-only}, frames: {mode: off}}
"""
)


@pytest.mark.parametrize(
    "text", [STEPWISE, ROUTED, CEILING, ROUTED.replace("\nmode: enforce", "\nmode: report-only", 1)]
)
def test_all_that_reports_can_be_enforced_and_taken_back(text: str):
    """`enforced` moves everything but what is off, `reported` holds everything down, whatever
    the file says now.
    """
    was = effective(load_policy(text.encode(), "x"))

    assert effective(load_policy(enforced(text).encode(), "x")) == {
        place: "off" if mode == "off" else "enforce" for place, mode in was.items()
    }
    assert set(effective(load_policy(reported(text).encode(), "x")).values()) <= {
        "report-only",
        "off",
    }


TRIED = f"""\
version: 1
{ABOUT}mode: trial
rules:
  nosniff: {{header: X-Content-Type-Options, action: set, value: nosniff}}
  frames: {{header: X-Frame-Options, action: set, value: DENY, mode: report-only}}
  held: {{header: X-Held, action: set, value: x, mode: enforce}}
  never: {{header: X-Never, action: set, value: x, mode: off}}
routes:
  - name: api
    match: {{path: /api/**}}
    rules:
      frames: {{mode: trial}}
      own: {{header: X-Own, action: set, value: x}}
"""


def modes(text: str, route: str = "default") -> dict[str, str]:
    """The effective modes on a route."""
    found = effective(load_policy(text.encode(), "x"))
    return {rule: mode for (where, rule), mode in found.items() if where == route}


@pytest.mark.parametrize(
    ("before", "rule", "to", "moved"),
    [
        (STEPWISE, "nosniff", "trial", {"nosniff": "trial"}),
        (CEILING, "frames", "trial", {"frames": "trial"}),
        (TRIED, "nosniff", "enforce", {"nosniff": "enforce"}),
        (TRIED, "frames", "trial", {"frames": "trial"}),
        (TRIED, "frames", "enforce", {"frames": "enforce"}),
        (TRIED, "own", "enforce", {}),
    ],
)
def test_a_rule_goes_up_alone(before: str, rule: str, to: Mode, moved: dict[str, str]):
    """To trial or to enforce, from whatever ceiling; a promotion to enforce takes the overrides
    that are in trial along.
    """
    after = promote(before, [rule], to=to)

    assert modes(after) == modes(before) | moved
    if "api" in before:
        assert modes(after, "api") == modes(before, "api") | {rule: to}


def test_a_step_back_is_one_word():
    """From enforce to trial, from there to report-only, and there it ends."""
    before = STEPWISE.replace("mode: 'report-only' # and me", "mode: 'enforce' # and me")
    trial = step_back(before, ["frames"])
    last = step_back(trial, ["frames"])

    assert trial == before.replace("mode: 'enforce' # and me", "mode: 'trial' # and me")
    assert last == before.replace("mode: 'enforce' # and me", "mode: 'report-only' # and me")
    with pytest.raises(PolicyError, match="'frames' is in report-only and changes nothing"):
        step_back(last, ["frames"])


def test_a_step_back_leaves_the_ceiling_and_every_other_rule():
    """A rule that inherits its mode gets a word of its own; overrides that stand higher come
    down, lower ones stay.
    """
    before = ROUTED.replace("value: nosniff, mode: report-only}", "value: nosniff}").replace(
        "    mode: report-only\n    rules: {nosniff", "    rules: {nosniff"
    )
    after = step_back(before, ["nosniff"])

    assert modes(before)["nosniff"] == "enforce"
    assert modes(after) == modes(before) | {"nosniff": "trial"}
    assert modes(after, "api") == modes(before, "api")


@pytest.mark.parametrize("text", [STEPWISE, CEILING])
@pytest.mark.parametrize("rule", ["nosniff", "frames"])
def test_a_step_back_undoes_a_step(text: str, rule: str):
    """Up to trial and back leaves every mode as it was, whatever became of the words."""
    assert modes(step_back(promote(text, [rule], to="trial"), [rule])) == modes(text)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("never", "rule 'never' is off; write mode: report-only"),
        ("strict", "rule 'strict' enforces already; `sidecar promote strict --step-back`"),
    ],
)
def test_what_cannot_go_to_trial(rule: str, why: str):
    """Off is somebody's word, and down is not up."""
    text = TRIED.replace("mode: trial", "mode: enforce", 1)
    text = text.replace("routes:", "  strict: {header: X-S, action: set, value: x}\nroutes:")
    with pytest.raises(PolicyError, match=re.escape(why)):
        promote(text, [rule], to="trial")


LADDER = f"""\
version: 1
{ABOUT}mode: enforce
rules:
  hsts:
    header: Strict-Transport-Security
    action: set
    ladder: [5m, 1d, 30d]   # slowly
    mode: report-only
routes:
  - name: new
    match: {{path: /new/**}}
    rules: {{hsts: {{step: 2}}}}  # ahead
"""


def test_a_ladder_is_climbed_by_one_word_at_a_time():
    """First to enforce on the step that stands, then up where it stands lowest, and at the top
    nothing changes any more.
    """
    enforcing = promote(LADDER, ["hsts"])
    assert enforcing == LADDER.replace("mode: report-only", "mode: enforce")
    second = promote(enforcing, ["hsts"])
    assert changed(enforcing, second) == ["+     step: 2\n"]
    third = promote(second, ["hsts"])
    assert third == second.replace("    step: 2", "    step: 3").replace("{step: 2}", "{step: 3}")
    assert promote(third, ["hsts"]) == third
    assert standing(third, ["hsts"]) == {"hsts": "enforce, step 3 of 3 (30d)"}


def test_a_ladder_is_left_as_it_was_climbed():
    """A step back goes down where the rule stands highest; below the first step it leaves
    enforce.
    """
    text = LADDER.replace("mode: report-only", "mode: enforce")
    first = step_back(text, ["hsts"])
    assert first == text.replace("{step: 2}", "{step: 1}")
    assert standing(first, ["hsts"]) == {"hsts": "enforce, step 1 of 3 (5m)"}
    trial = step_back(first, ["hsts"])
    assert trial == first.replace("mode: enforce\nroutes", "mode: trial\nroutes")


def test_another_rules_step_is_not_moved():
    """A step that several rules share by an anchor is refused, in words."""
    shared = LADDER.replace("mode: report-only\n", "mode: enforce\n    step: &s 1\n").replace(
        "routes:",
        "  other: {header: Strict-Transport-Security, action: set, ladder: [1m, 1h], step:"
        " *s}\nroutes:",
    )
    with pytest.raises(PolicyError, match="would move rule 'other' on its ladder"):
        promote(shared, ["hsts"])
