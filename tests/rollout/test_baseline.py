"""The sums of cells, and the file that people read."""

import pytest
from hypothesis import given

from sidecar.baseline import Baseline, Cell, responses, since, total
from sidecar.baseline.file import from_data, read_baseline, to_data, yaml_text
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.terms import PolicyError
from tests.rollout.observing import ANSWERS, BASELINES, START, baseline, page, seen

TEXT = """\
# What the service itself sends, as `sidecar capture` saw it: header lines by route, status class and content class.
# A header with a text was in every response with that value; a list says how often each value was seen, null = absent.
# Changing parts are masked ('nonce-...', <date>); values of headers that are no policy show as their form.
# Compare with:  sidecar drift FILE --admin URL      Accept what is new:  sidecar drift FILE --accept --reason WHY
version: 1
made: "2026-07-19T05:46:40Z"
by: jo
source: "http://127.0.0.1:19000"
cells:
  - route: default
    status: 2xx
    content: html
    responses: 3
    first: "2026-07-19T05:46:40Z"
    last: "2026-07-19T05:46:40Z"
    requests:
      - "GET https://shop.example/ -> 200"
      - "GET https://shop.example/items/... -> 200"
    headers:
      Content-Type: text/html
      X-Frame-Options:
        - {seen: 1, value: null}
        - {seen: 1, value: DENY}
        - {seen: 1, value: [DENY, SAMEORIGIN]}
    cookies:
      sid:
        - {seen: 2, value: null}
        - {seen: 1, value: Path=/; Secure}
"""  # noqa: E501


def test_the_file_reads_like_this() -> None:
    """One value in all responses is a text, all else a list with counts; cookies are apart; ids
    are blotted out.
    """
    made = baseline(
        page(("X-Frame-Options", "DENY"), ("Set-Cookie", "sid=c0ffee; Path=/; Secure")),
        page(path="/items/4711"),
        page(("x-frame-options", "DENY"), ("X-Frame-Options", "SAMEORIGIN")),
    )

    assert yaml_text(made) == TEXT


@given(BASELINES)
def test_a_file_gives_its_baseline_back(made: Baseline) -> None:
    """Whatever texts it holds, the file loads strictly to the same baseline, and is written the
    same again.
    """
    text = yaml_text(made)
    read = read_baseline(text.encode(), "baseline.yaml")

    assert text.isascii()
    assert to_data(read) == to_data(_plain(made))
    assert yaml_text(read) == text


def _plain(made: Baseline) -> Baseline:
    """Halves of character pairs are no characters and cannot be written."""
    return from_data(_mended(to_data(made)))


def _mended(value: object) -> object:
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return (
        "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value)
        if isinstance(value, str)
        else value
    )


@given(ANSWERS)
def test_a_tally_comes_back_from_its_file(given_responses: list[Facts]) -> None:
    """What was seen is what is read."""
    made = baseline(*given_responses)

    assert read_baseline(yaml_text(made).encode(), "b") == made
    assert from_data(to_data(made)) == made


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "responses: 3",
            "responses: three",
            "b.yaml:13:16: error: responses must be a whole number, got text",
        ),
        (
            "    status: 2xx",
            "    statis: 2xx",
            "b.yaml:11:5: error: unknown key 'statis'; did you mean 'status'?",
        ),
        (
            "status: 2xx",
            "status: 200",
            "b.yaml:11:13: error: status must be text, got 200; put it in quotes: '200'",
        ),
        (
            "version: 1",
            "version: 2",
            "b.yaml:5:10: error: version must be at most 1, got 2",
        ),
        ("seen: 2", "sen: 2", "error: unknown key 'sen'; did you mean 'seen'?"),
        ("route: default", "route: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_reported_in_its_place(old: str, new: str, problem: str) -> None:
    """A baseline is read as strictly as a policy: the place, the wrong word, the fix."""
    with pytest.raises(PolicyError) as error:
        read_baseline(TEXT.replace(old, new, 1).encode(), "b.yaml")

    assert problem in str(error.value)


@given(ANSWERS, ANSWERS)
def test_tallies_add_up(one: list[Facts], other: list[Facts]) -> None:
    """Two workers' cells together are the cells of one that saw everything."""
    apart, whole = total([seen(*one), seen(*other)]), seen(*one, *other)

    assert [_counts(cell) for cell in apart] == [_counts(cell) for cell in whole]


@given(ANSWERS, ANSWERS)
def test_a_later_reading_without_the_earlier_is_what_came_since(
    one: list[Facts], other: list[Facts]
) -> None:
    """Counts are subtracted, absences too; what was not seen since is gone."""
    grown = since(seen(*one, *other), seen(*one))

    assert [_counts(cell) for cell in grown] == [_counts(cell) for cell in seen(*other)]


def _counts(cell: Cell) -> tuple[object, ...]:
    return (cell.key, cell.responses, cell.headers, cell.cookies)


def test_a_sum_spans_both_times_and_keeps_examples() -> None:
    """The earlier first, the later last, at most three examples."""
    [one] = total(
        [
            seen(*(page(path=f"/{name}") for name in "ab")),
            seen(*(page(path=f"/{name}") for name in "bcd"), at=START + 60),
        ]
    )

    assert (one.first, one.last) == ("2026-07-19T05:46:40Z", "2026-07-19T05:47:40Z")
    assert one.requests == tuple(f"GET https://shop.example/{name} -> 200" for name in "abc")


def test_a_cell_gives_responses_to_try_a_policy_on() -> None:
    """The usual response for each example request, and one for each other thing that was seen."""
    [cell] = seen(
        page(("Server", "a")),
        page(("Server", "a"), path="/x"),
        page(("Set-Cookie", "sid=1; Secure")),
    )
    given_responses = list(responses(cell))

    assert [facts.path for facts in given_responses] == ["/", "/x", "/", "/"]
    assert [dict(facts.fields).get(b"Server") for facts in given_responses] == [
        b"a",
        b"a",
        None,
        b"a",
    ]
    assert [dict(facts.fields).get(b"Set-Cookie") for facts in given_responses] == [
        None,
        None,
        None,
        b"sid=...; Secure",
    ]


@given(ANSWERS)
def test_responses_of_a_cell_fall_into_the_cell(given_responses: list[Facts]) -> None:
    """Tallying what a cell gives leads to the same route, class and header variants."""
    cells = seen(*given_responses)
    again = seen(*(facts for cell in cells for facts in responses(cell)))

    assert {cell.key for cell in again} == {cell.key for cell in cells}
    for cell, held in zip(again, cells, strict=True):
        assert {name: set(variants) for name, variants in cell.headers.items()} == {
            name: set(variants) for name, variants in held.headers.items()
        }
