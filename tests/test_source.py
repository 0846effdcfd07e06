"""YAML text to a mapping that knows its places: strict, bounded, and right about lines and
columns.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.terms import Path, PolicyError, Problem
from sidecar.source import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    PRESETS,
    load,
    load_policy,
    located,
    preset_texts,
    read_yaml,
)


def data(text: str) -> Any:
    """What a text says."""
    return load(text.encode(), "t.yaml").data


def refused(text: str | bytes) -> list[str]:
    """Why a text is refused, a line each."""
    with pytest.raises(PolicyError) as caught:
        load(text if isinstance(text, bytes) else text.encode(), "t.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("off", "off"),
        ("'yes'", "yes"),
        ('"1"', "1"),
        ("! 1", "1"),
        ("0", 0),
        ("-12", -12),
        ("+5", 5),
        ("12345678901234567890", "12345678901234567890"),
        ("1.5", 1.5),
        ("-0.5e-3", -0.0005),
        ("1.", "1."),
        (".5", ".5"),
        ("1e3", "1e3"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-07-19", "2026-07-19"),
        (".inf", ".inf"),
        ("nUll", "nUll"),
        ("[a, {b: c}, [], {}]", ["a", {"b": "c"}, [], {}]),
        ("1: a\ntrue: b\nnull: c\n'': d", {"1": "a", "true": "b", "null": "c", "": "d"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
        ("|\n a\n b\n", "a\nb\n"),
        ("%YAML 1.2\n---\na: b\n...\n", {"a": "b"}),
    ],
)
def test_words_are_those_of_yaml_12(text: str, value: object):
    """The core schema's null, booleans and numbers; every key is a text; all else is text."""
    found = data(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a: on",
            (
                "t.yaml:1:4: error: 'on' is a boolean in YAML 1.1 and a text in 1.2; write true, or"
                " 'on' for the text"
            ),
        ),
        (
            "a: N",
            (
                "t.yaml:1:4: error: 'N' is a boolean in YAML 1.1 and a text in 1.2; write false, or"
                " 'N' for the text"
            ),
        ),
        (
            "a: 010",
            (
                "t.yaml:1:4: error: '010' is a different number in YAML 1.1 and 1.2; put it in"
                " quotes: '010'"
            ),
        ),
        ("a: 1\nb: 2\na: 3", "t.yaml:3:1: error: key 'a' appears twice; the first is in line 1"),
        (
            "a:\n  <<: {b: 1}",
            (
                "t.yaml:2:3: error: merge keys (<<) are not YAML 1.2; use extends, or override the"
                " rule on a route"
            ),
        ),
        (
            "a: !!binary eA==",
            "t.yaml:1:4: error: tag 'tag:yaml.org,2002:binary' is not allowed; remove it",
        ),
        ("a: *b", "t.yaml:1:4: error: unknown alias *b; define it above with &"),
        ("a: &b [*b]", "t.yaml:1:8: error: unknown alias *b; define it above with &"),
        ("? {a: b}\n: c", "t.yaml:1:3: error: a key must be a plain word; write KEY: VALUE"),
        ("a: &x b\n*x : c", "t.yaml:2:1: error: a key must be a plain word; write KEY: VALUE"),
        (
            "a: 1\n---\nb: 2",
            "t.yaml:2:1: error: a second document starts here; keep one document in a file",
        ),
        (
            "a: [1",
            (
                "t.yaml:2:1: error: not YAML: while parsing a flow sequence did not find expected"
                " ',' or ']'; look for a comma, bracket or indent, here or in the line above"
            ),
        ),
        (
            "a: b\n\tc: d",
            (
                "t.yaml:2:1: error: not YAML: while scanning a plain scalar found a tab character"
                " that violates indentation; write spaces in place of the tab"
            ),
        ),
        (
            "\ta: b",
            (
                "t.yaml:1:1: error: not YAML: while scanning for the next token found character"
                " that cannot start any token; write spaces in place of the tab"
            ),
        ),
        (
            "a: @b",
            (
                "t.yaml:1:4: error: not YAML: while scanning for the next token found character"
                " that cannot start any token; put the text in quotes"
            ),
        ),
        (
            "a: 'b",
            (
                "t.yaml:1:6: error: not YAML: while scanning a quoted scalar found unexpected end"
                " of stream; close the quotation mark"
            ),
        ),
        (
            "\n\na: \x00",
            (
                "t.yaml:3:1: error: not YAML: unacceptable character #x0000: control characters are"
                " not allowed"
            ),
        ),
        (b"a: b\nc: \xff", "t.yaml:2:1: error: the file is not UTF-8; save it as UTF-8"),
        (b"\xfe\xff\x00a", "t.yaml:1:1: error: the file is not UTF-8; save it as UTF-8"),
    ],
)
def test_what_is_refused_is_reported_with_its_place(text: str | bytes, problem: str):
    """One problem, at the right line and column."""
    assert refused(text) == [problem]


def test_all_problems_of_a_text_come_at_once_and_before_the_fatal_one():
    """Reading goes on as far as it makes sense."""
    assert [problem.split(": error: ")[0] for problem in refused("a: on\na: !x z\nb: [")] == [
        "t.yaml:1:4",
        "t.yaml:2:1",
        "t.yaml:2:4",
        "t.yaml:4:1",
    ]


def test_read_leaves_what_can_be_read_over():
    """The data is there, and the problems beside it."""
    source = read_yaml(b"a: yes\nb: *c\nd: 1\nd: 2", "t.yaml")

    assert source.data == {"a": True, "b": "*c", "d": 2}
    assert len(source.problems) == 3


@pytest.mark.parametrize(
    "text",
    [
        "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2),
        "[" * 100_000,
        "{a: " * 5000,
        "- " * 5000 + "a",
        "[" + "a," * (MAX_NODES + 1) + "]",
        "a: &a [x, x]\n"
        + "".join(
            f"{after}: &{after} [*{before}, *{before}]\n"
            for before, after in zip("abcdefghijklmnopqrs", "bcdefghijklmnopqrst", strict=True)
        ),
        "- &a [" + "x," * 40_000 + "]\n" + "- *a\n" * 100_000,
    ],
)
def test_bombs_are_refused(text: str):
    """Depth, and size with every alias written out, are bounded; nothing is built beyond."""
    (problem,) = refused(text)

    assert "nested too deep or, with its aliases, too large" in problem


def test_the_length_is_bounded():
    """One byte more than is taken is refused unread, with the limit."""
    assert refused(b"#" * (MAX_BYTES + 1)) == [
        f"t.yaml: error: the file is {MAX_BYTES + 1} bytes long; at most {MAX_BYTES} are read"
    ]
    assert load(b"#" * MAX_BYTES, "t.yaml").data is None


TEXT = """\
version: 1
rules:
  one: {header: A,
        action: set}
  two:
    header: [B, &c C]
"""


@pytest.mark.parametrize(
    ("path", "at_key", "place"),
    [
        ((), False, (1, 1)),
        (("version",), False, (1, 10)),
        (("version",), True, (1, 1)),
        (("rules", "one"), False, (3, 8)),
        (("rules", "one", "action"), False, (4, 17)),
        (("rules", "one", "action"), True, (4, 9)),
        (("rules", "two", "header", 1), False, (6, 17)),
        (("rules", "two", "header", 7), False, (6, 13)),
        (("rules", "two", "value"), True, (5, 3)),
        (("rules", "three", "value", 0), False, (2, 1)),
        (("nowhere",), True, (1, 1)),
    ],
)
def test_a_problem_finds_its_place_or_the_nearest_above(
    path: Path, at_key: bool, place: tuple[int, int]
):
    """Values and keys have their own places."""
    found = load(TEXT.encode(), "t.yaml").place(Problem("wrong", path=path, at_key=at_key))

    assert (found.file, found.line, found.column) == ("t.yaml", *place)


def test_a_problem_with_a_place_keeps_it():
    """One that names a file (as an environment variable does) is not moved."""
    source = load(TEXT.encode(), "t.yaml")
    kept = Problem("wrong", file="SIDECAR_X", path=("version",))

    assert source.place(kept) is kept
    assert (
        located((Problem("b", path=("rules",)), Problem("a", path=("version",))), source)[0].message
        == "a"
    )


def test_spans_are_the_text_of_each_value():
    """An edit of one value can cut it out and leave the rest as it is."""
    source = load(TEXT.encode(), "t.yaml")
    cut = {path: TEXT[span.start : span.end] for path, span in source.spans.items()}

    assert cut[("version",)] == "1"
    assert cut[("rules", "one")] == "{header: A,\n        action: set}"
    assert cut[("rules", "two", "header", 0)] == "B"
    assert {source.spans[path].style for path in ((), ("rules", "two"))} == {"block"}
    assert source.spans["rules", "one"].style == "flow"


def test_a_policy_with_faults_of_text_and_of_meaning_tells_both_in_order():
    """A place that is reported once is not reported again for what follows from it."""
    with pytest.raises(PolicyError) as caught:
        load_policy(
            b"version: 1\nmode: yes\nrules:\n  a: {header: A, action: sett}\n  a: {header: A,"
            b" action: remove, mode: enforce, mode: enfroce}\n",
            "p.yaml",
        )

    assert [problem.line for problem in caught.value.problems] == [2, 5, 5, 5]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_policy_or_problems(raw: bytes):
    """No other exception comes out."""
    try:
        load_policy(raw, "p.yaml")
    except PolicyError as error:
        assert error.problems


WORDS = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-9999, 9999), WORDS),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)
        ),
        max_leaves=10,
    )
)
def test_what_a_yaml_writer_writes_is_read_back(value: object):
    """Quoting, folding and nesting of another writer make no difference, but for words that it
    should have quoted.
    """
    source = read_yaml(yaml.safe_dump(value).encode(), "t.yaml")

    assert source.data == value or source.problems
    assert source.values[()] >= (1, 1)


def test_presets_are_loaded_by_name():
    """Each shipped text is there under its dated name, written and read."""
    assert "oshp-2026-07" in PRESETS
    assert PRESETS.keys() == preset_texts().keys()
    assert PRESETS["oshp-2026-07"]["version"] == 1


def test_without_the_c_parser_the_words_are_the_same():
    """Where PyYAML was built without libyaml, the slow parser is taken."""
    code = (
        "import yaml; del yaml.CSafeLoader; from sidecar.source import load_policy, preset_texts\n"
        "print(load_policy(preset_texts()['oshp-2026-07'].encode(), 'p').revision())"
    )
    slow = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()

    assert slow == load_policy(preset_texts()["oshp-2026-07"].encode(), "p").revision()
