"""Report-only headers that are made once for policies that differ in their nonces alone: the same
as those that are made anew.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.browsers import alike, trial
from sidecar.policy.rules.conditions import Finding

KEY = b"content-security-policy"
NONCES = (
    "'nonce-a'",
    "'Nonce-a'",
    "'nonce-B=='",
    "'nonce-b=='",
    "'nonce-0'",
    "'nonce-1'",
    "'nonce-!'",
)
WORDS = (
    *NONCES,
    "'self'",
    "'none'",
    "'strict-dynamic'",
    "https://a.test",
    "'unsafe-inline'",
    "x'nonce-a'",
)
DIRECTIVES = ("default-src", "script-src", "script-src-elem", "style-src", "frame-ancestors")
policies = st.lists(
    st.tuples(st.sampled_from(DIRECTIVES), st.lists(st.sampled_from(WORDS), max_size=4)), max_size=4
).map(lambda made: "; ".join(" ".join((name, *words)) for name, words in made).encode())
lines = st.lists(policies, max_size=2).map(tuple)


def finding(before: tuple[bytes, ...], after: tuple[bytes, ...], action: str = "set") -> Finding:
    """What a rule makes of the service's own lines."""
    name = b"Content-Security-Policy"
    about = ("csp", 3, name.decode(), name, KEY, action, "mismatch", "trial")
    return Finding(*about, before, after, False)  # type: ignore[arg-type]


@given(lines, lines, st.sampled_from(["http", "https"]), st.sampled_from([(), (b"DENY",)]))
def test_they_are_as_if_made_anew(
    before: tuple[bytes, ...], after: tuple[bytes, ...], scheme: str, framing: tuple[bytes, ...]
):
    """Whatever stands where."""
    seen = {b"x-frame-options": framing} if framing else {}
    one = finding(before, after)

    assert alike.report_only(one, "k", scheme, seen) == trial.report_only(one, "k", scheme, seen)


@pytest.mark.parametrize("rounds", [3])
def test_nonces_of_others_are_never_sent(rounds: int):
    """What is remembered holds numbers, and each response gets its own nonces."""
    made = [
        alike.report_only(
            finding((b"script-src 'nonce-own%d'" % n,), (b"script-src 'nonce-r%d'" % n,)),
            "k",
            "https",
            {},
        )
        for n in range(rounds)
    ]
    sent = [one.lines[0][1] for one in made if one is not None]

    assert [b"'nonce-r%d'" % n in value for n, value in enumerate(sent)] == [True] * rounds
    assert not any(b"nonce-own" in value for value in sent)
    assert alike._made.cache_info().maxsize == 128
