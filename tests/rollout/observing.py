"""Responses and baselines for tests of what a service sends."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from sidecar.baseline import Acceptance, Baseline, Cell, ordered
from sidecar.baseline.capture import Tally
from sidecar.policy.engine.plan import RoutePlan
from sidecar.policy.rules.conditions import Facts
from tests.policy.making import facts, plan

START = 1_784_440_000.0
"""2026-07-19T05:46:40Z."""
ROUTE = plan().routes[-1]


def page(*fields: tuple[str, str], **more: object) -> Facts:
    """A page as the service sends it."""
    lines = [("Content-Type", "text/html"), *fields]
    return facts(
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in lines), **more
    )


def seen(*responses: Facts, route: RoutePlan = ROUTE, at: float = START) -> tuple[Cell, ...]:
    """The cells of a tally that looked at all these responses."""
    tally = Tally(per_second=float("inf"), clock=lambda: at)
    for response in responses:
        tally.observe(route, response)
    return tally.cells()


def baseline(*responses: Facts) -> Baseline:
    """A baseline of these responses."""
    return Baseline(seen(*responses), "2026-07-19T05:46:40Z", "jo", "http://127.0.0.1:19000")


VALUES = {
    "X-Frame-Options": ("DENY", "SAMEORIGIN", "none"),
    "Content-Security-Policy": (
        "default-src 'self'",
        "default-src 'self'; object-src 'none'",
        "script-src 'nonce-abcdefgh'",
    ),
    "Strict-Transport-Security": ("max-age=63072000", "max-age=300", "x"),
    "Cross-Origin-Opener-Policy": ("same-origin", "unsafe-none"),
    "Access-Control-Allow-Origin": ("*", "https://a.example"),
    "Cache-Control": ("no-store", "max-age=60"),
    "Server": ("uvicorn", "nginx/1.2"),
    "X-Request-Id": ("a", "b c"),
    "Set-Cookie": ("sid=1; Secure", "sid=2; HttpOnly; SameSite=Lax", "b=1", "=x"),
    "Date": ("Sun, 22 Nov 2026 13:00:00 GMT",),
}
_line = st.sampled_from([(name, value) for name, values in VALUES.items() for value in values])
_types = st.sampled_from(("text/html", "application/json", "image/png"))

ANSWERS = st.lists(
    st.builds(
        lambda lines, media, status, path: facts(
            *((name.encode(), value.encode()) for name, value in [("Content-Type", media), *lines]),
            status=status,
            path=path,
        ),
        st.lists(_line, max_size=6),
        _types,
        st.sampled_from((200, 204, 302, 500)),
        st.sampled_from(("/", "/a", "/a/b")),
    ),
    max_size=12,
)
"""Responses whose headers come, go, repeat and change."""

_texts = st.text(max_size=12)
_lines = st.lists(st.text(max_size=20), max_size=3).map(tuple)
_variants = st.dictionaries(_lines, st.integers(1, 9), min_size=1, max_size=3)


def _cells(keys: Iterable[tuple[str, str, str]]) -> st.SearchStrategy[tuple[Cell, ...]]:
    named = st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), _variants, max_size=3
    )
    cells = (
        st.builds(
            Cell,
            *map(st.just, key),
            st.integers(1, 9),
            _texts,
            _texts,
            st.sampled_from(
                (
                    ("GET https://shop.example/ -> 200",),
                    ("POST http://a/b/... -> 404", "GET https://unknown/ -> 302"),
                )
            ),
            named,
            st.dictionaries(_texts, _variants, max_size=2),
            st.integers(0, 3),
        )
        for key in keys
    )
    return st.tuples(*cells).map(ordered)


BASELINES = st.builds(
    Baseline,
    st.sets(
        st.tuples(_texts, st.sampled_from(("2xx", "5xx")), st.sampled_from(("html", "none"))),
        max_size=3,
    ).flatmap(_cells),
    _texts,
    _texts,
    _texts,
    st.lists(
        st.builds(
            Acceptance,
            **dict.fromkeys(("at", "by", "reason"), _texts),
            changes=st.lists(_texts, max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
)
"""Any baseline at all: any text anywhere."""
