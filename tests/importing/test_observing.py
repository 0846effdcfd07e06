"""A policy from observed responses: what it says, what it leaves, and that the enforced policy
sends what was seen.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.importing.draft import Imported
from sidecar.importing.formats import from_observations
from sidecar.importing.observations import Observation
from sidecar.observed import ObservedResponse
from sidecar.policy.engine.plan import decide
from tests.importing.making import Fields, differing, enforced, lost, raw
from tests.portion import examples

HTML = ("Content-Type", "text/html; charset=utf-8")
JSON = ("Content-Type", "application/json")
CSS = ("Content-Type", "text/css")
HOST = "https://shop.example"


def seen(
    path: str,
    *fields: tuple[str, str],
    status: int = 200,
    again: Fields | None = None,
    bare: Fields | None = None,
    probe: bool = False,
) -> Observation:
    """An observation of one path; `again` is a second response, `bare` what the service itself
    sends.
    """

    def made(lines: Fields) -> ObservedResponse:
        return ObservedResponse(f"{HOST}{path}", status, tuple(raw(lines)))

    return Observation(
        made(list(fields)),
        None if again is None else made(again),
        None if bare is None else made(bare),
        probe=probe,
    )


def rules(policy: Imported) -> str:
    """The policy's text from its rules on, without comments."""
    lines = policy.policy_yaml.partition("mode: report-only")[2].splitlines()[1:]
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def test_what_all_responses_have_is_one_rule() -> None:
    """A value that is equal over all responses is one rule for the whole policy, with the paths
    and counts beside it.
    """
    frame = ("X-Frame-Options", "DENY")
    policy = from_observations(
        [seen("/", HTML, frame), seen("/api/x", JSON, frame), seen("/no", HTML, frame, status=404)]
    )

    assert (
        rules(policy)
        == "rules:\n  x-frame-options:\n    header: X-Frame-Options\n    action: set\n    value:"
        " DENY"
    )
    assert "on /, /api/x, /no: 3 responses (1 page, 1 data, 1 error)" in policy.policy_yaml


def test_content_types_and_statuses_are_conditions() -> None:
    """What is other by media type or status is a rule with a condition, not a route."""
    csp, cache = ("Content-Security-Policy", "default-src 'self'"), ("Cache-Control", "no-store")
    policy = from_observations(
        [
            seen("/", HTML, csp),
            seen("/about", HTML, csp),
            seen("/api/x", JSON, cache),
            seen("/app.css", CSS),
            seen("/missing", HTML, csp, status=404, probe=True),
        ]
    )

    assert "when: {content-type: text/html}" in rules(policy)
    assert "when: {content-type: application/json}" in rules(policy)
    assert "routes:" not in rules(policy)


def test_paths_are_routes() -> None:
    """What is other below a folder is a route, and the rest keeps the rule of most paths."""
    deny, same = ("X-Frame-Options", "DENY"), ("X-Frame-Options", "SAMEORIGIN")
    policy = from_observations(
        [
            seen("/", HTML, deny),
            seen("/about", HTML, deny),
            seen("/embed/video", HTML, same),
            seen("/embed/map", HTML, same),
        ]
    )

    assert "    value: DENY\nroutes:\n  - name: embed\n" in rules(policy)
    assert "      path: [/embed, /embed/**]\n" in rules(policy)
    assert "        value: SAMEORIGIN" in rules(policy)


def test_what_changes_is_never_frozen() -> None:
    """Nonces, dates and ids are known by their form, other values by a second response; each is
    named and left alone.
    """
    policy = from_observations(
        [
            seen(
                "/",
                HTML,
                ("Content-Security-Policy", "script-src 'nonce-YWJj'"),
                ("Pragma", "Mon, 01 Jan 2026 00:00:00 GMT"),
                ("Cache-Control", "max-age=10"),
                ("X-Frame-Options", "DENY"),
                again=[("Cache-Control", "max-age=9"), ("X-Frame-Options", "DENY")],
            ),
            seen("/r", HTML, ("Report-To", '{"url": "/8f14e45fceea167a5a36dedd4bea2543"}')),
        ]
    )

    assert [line.partition("; ")[0] for line in lost(policy)] == [
        "0: Content-Security-Policy: a nonce changes with every response on /",
        "0: Pragma: a date changes with every response on /",
        "0: Cache-Control: its value changes with every response on /",
        "0: Report-To: an id changes with every response on /r",
    ]
    assert rules(policy).count("header:") == 1


def test_responses_that_nothing_tells_apart_are_said() -> None:
    """Two values of one header in responses of one path and kind give no rule and a warning."""
    policy = from_observations(
        [seen("/", HTML, ("X-Frame-Options", "DENY")), seen("/", HTML, ("X-Frame-Options", "X"))]
    )

    assert rules(policy) == "rules: {}"
    assert "X-Frame-Options: similar responses differ on /" in lost(policy)[0]


def test_what_cannot_be_seen_is_said() -> None:
    """Without the service itself no removal is inferred, and headers that name software are
    neither set nor removed.
    """
    policy = from_observations([seen("/", HTML, ("Server", "nginx"), ("X-Powered-By", "PHP/8"))])

    assert rules(policy) == "rules: {}"
    assert (
        "cannot be seen, so no rule removes any, not even Server, X-Powered-By"
        in (differing(policy)[0])
    )
    assert (
        "no response of these kinds was seen: data, static, redirect, error"
        in (differing(policy)[1])
    )


def test_a_cookie_that_browsers_refuse_is_named_with_the_fix() -> None:
    """The rule is written as the cookie was seen; what is wrong with the cookie is said."""
    policy = from_observations([seen("/", HTML, ("Set-Cookie", "sid=1; SameSite=None"))])

    assert "attributes: {SameSite: None}" in rules(policy)
    assert any("Browsers refuse the cookie sid" in said for said in differing(policy))
    assert any("add Secure" in note.fix for note in policy.notes)


def test_the_service_itself_shows_what_is_removed_and_what_is_its_own() -> None:
    """Beside what the service sends, removals are rules, and what it sends by itself needs none."""
    policy = from_observations(
        [
            seen(
                "/",
                HTML,
                ("Server", "nginx"),
                ("Referrer-Policy", "origin"),
                ("X-Frame-Options", "DENY"),
                ("X-Frame-Options", "DENY"),
                bare=[
                    ("Server", "gunicorn"),
                    ("X-Powered-By", "Flask"),
                    ("Referrer-Policy", "origin"),
                ],
            )
        ]
    )

    assert "server:\n    header: Server\n    action: remove" in rules(policy)
    assert "x-powered-by:\n    header: X-Powered-By\n    action: remove" in rules(policy)
    assert "Referrer-Policy" not in rules(policy)


def test_cookies_are_attributes() -> None:
    """A cookie is a rule on its attributes by its name; values are never in it, and other
    attributes on one path are said.
    """
    policy = from_observations(
        [
            seen("/", HTML, ("Set-Cookie", "sid=secret; Path=/; Secure; HttpOnly; SameSite=lax")),
            seen("/a", HTML, ("Set-Cookie", "sid=other; HttpOnly; Secure; SameSite=Lax")),
            seen("/b", HTML, ("Set-Cookie", "theme=dark; Secure")),
            seen("/c", HTML, ("Set-Cookie", "theme=dark")),
        ]
    )

    assert "cookie: sid\n    attributes: {Secure: true, HttpOnly: true, SameSite: Lax}" in rules(
        policy
    )
    assert "secret" not in policy.policy_yaml
    assert lost(policy) == ["0: cookie theme: its attributes are not the same on /b, /c"]


def test_other_hosts_are_left_out() -> None:
    """A policy is for one service: what an archive holds of others is left out, and they are
    named.
    """
    other = Observation(
        ObservedResponse("https://cdn.example/x.js", 200, ((b"X-Frame-Options", b"DENY"),))
    )
    policy = from_observations([other, seen("/", HTML)])

    assert rules(policy) == "rules: {}"
    assert lost(policy) == ["0: responses of cdn.example are left out"]


VALUES = {
    "X-Frame-Options": ["DENY", "SAMEORIGIN"],
    "Content-Security-Policy": ["default-src 'self'", "default-src 'none'"],
    "Cache-Control": ["no-store"],
    "X-Powered-By": ["PHP"],
}
FIELDS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}
)
PATHS = st.sampled_from(["/", "/a", "/a/", "/a/b", "/a/c", "/b/c.css", "/b/d", "/c%20d/e"])
SEEN = st.builds(
    lambda path, kind, status, theirs, own: seen(
        path, kind, *theirs.items(), status=status, bare=[kind, *own.items()]
    ),
    PATHS,
    st.sampled_from([HTML, JSON]),
    st.sampled_from([200, 302, 404]),
    FIELDS,
    FIELDS,
)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(SEEN, min_size=1, max_size=8))
def test_the_enforced_policy_sends_what_was_seen(observations: list[Observation]) -> None:
    """Put in front of the service, the policy gives every response the headers that were seen,
    but for those named in a warning.
    """
    policy = from_observations(observations)
    plan = enforced(policy)
    warned = {line.partition(": ")[2].partition(":")[0] for line in lost(policy)}
    for one in observations:
        assert one.bare is not None
        facts = one.bare.facts()
        leaving = ObservedResponse(
            one.response.url,
            one.response.status,
            tuple(decide(plan.route(facts.host, "GET", facts.path), facts).fields),
        )
        for name in VALUES.keys() - warned:
            wanted = one.response.values(name)
            if name == "X-Powered-By" and wanted != one.bare.values(name):
                wanted = ()  # a name of software is never set
            assert leaving.values(name) == wanted, (name, one.path, policy.policy_yaml)
