"""The nouns: the ceiling rule, problems as text, and the checks of single values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.model import Policy, Rule, schema
from sidecar.policy.problems import did_you_mean, keys_at
from sidecar.policy.terms import PolicyError, Problem, lowest
from sidecar.policy.values import (
    MAX_VALUE,
    byte_size,
    header_name,
    header_value,
    percentage,
    seconds,
)


def test_the_lowest_mode_wins_and_nothing_said_is_report_only():
    """Missing modes do not count."""
    assert lowest(None, "enforce", None) == "enforce"
    assert lowest("enforce", "off", "report-only") == "off"
    assert lowest(None, None) == lowest() == "report-only"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Problem("it is wrong", "repair it", file="p.yaml", line=3, column=7),
            "p.yaml:3:7: error: it is wrong; repair it",
        ),
        (Problem("it is wrong", file="p.yaml"), "p.yaml: error: it is wrong"),
        (Problem("it is odd", severity="warning"), "warning: it is odd"),
    ],
)
def test_a_problem_as_text(problem: Problem, text: str):
    """Place, severity, what, fix; what is missing leaves no trace."""
    assert str(problem) == text
    assert str(PolicyError((problem, problem))) == f"{text}\n{text}"


@given(st.text())
def test_a_header_value_is_taken_as_one_visible_line_or_refused(value: str):
    """Whatever is taken can stand on the wire as it is."""
    try:
        taken = header_value(value)
    except ValueError:
        assert any(char != "\t" and not " " <= char <= "~" for char in value)
    else:
        assert taken == value.strip(" \t")


@pytest.mark.parametrize("value", ["x" * (MAX_VALUE + 1), None, 5, True, ["a"], {"a": "b"}])
def test_other_things_are_no_header_value(value: object):
    """Too long, or not a text: numbers and booleans must be quoted."""
    with pytest.raises(ValueError, match="value"):
        header_value(value)


@pytest.mark.parametrize(
    ("sources", "taken"),
    [
        (None, True),
        (True, True),
        (False, False),
        ("'self'", ("'self'",)),
        ([], ()),
        (["a", " b "], ("a", "b")),
    ],
)
def test_the_sources_of_a_directive(sources: object, taken: object):
    """A text is a list of one, nothing is true, false leaves the directive out."""
    assert Rule.model_validate({"value": {"img-src": sources}}).value == {"img-src": taken}


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:", "\u00e9", "a\n", None, 5, "Content-Length", "KEEP-ALIVE", "te"]
)
def test_illegal_names_and_those_of_the_proxy_are_no_header_names(name: object):
    """RFC 9110 section 5.6.2, and the names that frame a message."""
    with pytest.raises(ValueError, match="header name|belongs to the proxy"):
        header_name(name)


@pytest.mark.parametrize(
    ("text", "value"),
    [("500ms", 0.5), ("3s", 3), ("1.5m", 90), ("2h", 7200), ("1d", 86400), (2.5, 2.5)],
)
def test_durations(text: object, value: float):
    """A number and its unit, as seconds; what is seconds already stays."""
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["5", "s", "-1s", "1 s", "1w", "", "1s1s"])
def test_no_durations(text: str):
    """A bare number has no unit, so it is refused with the fix."""
    with pytest.raises(ValueError, match="write a number with ms, s, m, h or d"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("512B", 512), ("64KiB", 65536), ("16MiB", 16777216), ("1GiB", 1 << 30), (0, 0), (512, 512)],
)
def test_sizes(text: object, value: int):
    """A whole number and its unit, as bytes; a bare number is bytes."""
    assert byte_size(text) == value


@pytest.mark.parametrize("text", ["16", "16MB", "1.5MiB", -1, True, None, ""])
def test_no_sizes(text: object):
    """All else is refused with the fix."""
    with pytest.raises(ValueError, match="write a whole number with B, KiB, MiB or GiB"):
        byte_size(text)


@pytest.mark.parametrize(("text", "value"), [("10%", 0.1), ("0.5%", 0.005), ("100%", 1)])
def test_percentages(text: str, value: float):
    """Above 0, up to 100, as a fraction."""
    assert percentage(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["0%", "101%", "10", "-1%", "%", 0.1])
def test_no_percentages(text: object):
    """All else is refused."""
    with pytest.raises(ValueError, match="percentage"):
        percentage(text)


@pytest.mark.parametrize(
    ("word", "choices", "fix"),
    [
        ("enfroce", ("off", "report-only", "enforce"), "did you mean 'enforce'?"),
        ("HTTPONLY", ("HttpOnly",), "did you mean 'HttpOnly'?"),
        ("xyz", ("b", "a"), "known: a, b"),
        ("oshp", ("oshp-2026-07", "oshp-2026-01"), "did you mean 'oshp-2026-07'?"),
        ("xyz", (), ""),
        ("xyz", [f"word{at}" for at in range(17)], ""),
        ("base", ("base-2025-01", "base-2026-11", "baseline"), "did you mean 'base-2026-11'?"),
        (None, ("none",), "did you mean 'none'?"),
    ],
)
def test_the_fix_for_a_wrong_word(word: object, choices: list[str], fix: str):
    """The nearest choice; all of them when they are few; nothing when they would be a list to
    search.
    """
    assert did_you_mean(word, choices) == fix


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ((), "version"),
        (("rules", "any"), "header"),
        (("routes", 3, "match"), "host"),
        (("routes", 0, "rules", "x", "when"), "content-type"),
        (("guard",), "window"),
    ],
)
def test_the_keys_of_a_place(path: tuple[str | int, ...], known: str):
    """Cures know which keys may stand where; where any may, none is suggested."""
    assert known in keys_at(Policy, path)


@pytest.mark.parametrize(
    "path",
    [("rules",), ("rules", "x", "value", "img-src"), ("mode", "deep"), ("nowhere", "at", "all")],
)
def test_places_without_known_keys(path: tuple[str | int, ...]):
    """Open mappings, single values and unknown paths have no keys to suggest."""
    assert keys_at(Policy, path) == ()


def test_the_schema_ignores_a_place_for_anchors():
    """Keys that begin with x- are for the writer."""
    assert list(schema()["patternProperties"]) == ["^x-"]
