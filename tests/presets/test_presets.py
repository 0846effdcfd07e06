"""The shipped presets as texts and as policies: dated, owned, honest about what they break, and
gentle where they say so.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from sidecar.policy import headers
from sidecar.policy.engine.judge import Decision
from sidecar.policy.engine.plan import compile_policy, decide
from sidecar.policy.rules.conditions import Facts, RawFields
from sidecar.policy.terms import PolicyError
from sidecar.source import lint_policy, load_policy, preset_texts
from tests.policy.making import facts

PRESETS = tuple(preset_texts())
FRAMEWORKS = ("django-2026-11", "fastapi-2026-11", "flask-2026-11")
OURS = ("api-2026-11", "baseline-2026-11", "strict-2026-11", *FRAMEWORKS)


def decided(preset: str, *fields: tuple[bytes, bytes], **more: Any) -> Decision:
    """What becomes of one response under an enforced preset alone."""
    resolved = load_policy(f"version: 1\nmode: enforce\nextends: [{preset}]\n".encode(), "")
    return decide(compile_policy(resolved).routes[-1], facts(*fields, **more))


def sent(preset: str, *fields: tuple[bytes, bytes], **more: Any) -> dict[str, str]:
    """The response that leaves, by header."""
    return {
        name.decode(): value.decode() for name, value in decided(preset, *fields, **more).fields
    }


HTML, JSON, PNG = (
    (b"Content-Type", media)
    for media in (b"text/html; charset=utf-8", b"application/json", b"image/png")
)


def test_these_are_the_presets():
    """A new one has to be added to the proofs below."""
    assert sorted(PRESETS) == sorted((*OURS, "oshp-2026-07"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_it_is_and_what_it_may_break(name: str):
    """In the comment that opens it; it is dated, and has an owner and a reason."""
    text = preset_texts()[name]
    comment = " ".join(line.removeprefix("# ") for line in text.split("version: 1")[0].splitlines())
    policy = load_policy(text.encode(), name).policy

    assert text.startswith("# ")
    assert "May break: " in comment
    assert re.fullmatch(r"[a-z]+-\d{4}-\d\d", name)
    assert policy.name == name
    assert policy.owner
    assert policy.reason
    assert policy.mode is None
    assert not policy.routes


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_may_break_names_rules_that_exist(name: str):
    """A word in brackets is a rule's name."""
    comment = preset_texts()[name].split("version: 1")[0].replace("\n# ", " ")
    rules = load_policy(preset_texts()[name].encode(), name).policy.rules
    in_brackets = {
        word
        for group in re.findall(r"\(([^()]*)\)", comment.split("May break: ")[1])
        for word in re.findall(r"^[a-z-]+|(?<=, )[a-z-]+(?=,|$)", group)
    }

    if name != "oshp-2026-07":
        assert in_brackets & rules.keys()
        assert in_brackets - rules.keys() <= {"form-action", "once"}


WARNINGS = {
    "baseline-2026-11": {"csp-scripts-open"},  # a first step
    "fastapi-2026-11": {"csp-unsafe-inline"},  # Swagger UI starts by an inline script
    "oshp-2026-07": {"csp-upgrade-over-http"},  # OWASP's own value
    "strict-2026-11": {"csp-upgrade-over-http"},
}


@pytest.mark.parametrize("name", PRESETS)
def test_lint_warns_of_nothing_else(name: str):
    """Each known weakness of a preset stands here; to who extends it, it is an info."""
    _, problems = lint_policy(preset_texts()[name].encode(), name)
    _, extended = lint_policy(f"version: 1\nextends: {name}\n".encode(), "")

    assert {problem.code for problem in problems if problem.severity != "info"} == WARNINGS.get(
        name, set()
    )
    assert {problem.severity for problem in extended} <= {"info"}


def test_rules_of_one_name_are_about_one_thing():
    """So that presets can be laid over each other: a later one overrides, and does not clash."""
    meant: dict[str, set[object]] = {}
    for name in PRESETS:
        for rule, declared in load_policy(preset_texts()[name].encode(), name).policy.rules.items():
            about = (
                "cookies"
                if declared.cookie
                else "names"
                if len(declared.header or ()) > 1
                else (declared.header or ("",))[0]
            )
            meant.setdefault(rule, set()).add(about)

    assert {rule: about for rule, about in meant.items() if len(about) > 1} == {}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("baseline", "baseline-2026-11"),
        ("basline", "baseline-2026-11"),
        ("api", "api-2026-11"),
        ("osph", "oshp-2026-07"),
        ("Django", "django-2026-11"),
        ("flask-2025-01", "flask-2026-11"),
    ],
)
def test_an_unknown_preset_leads_to_the_newest_of_its_name(word: str, meant: str):
    """Dates need not be known by heart, but they are written."""
    with pytest.raises(PolicyError) as caught:
        load_policy(f"version: 1\nextends: {word}\n".encode(), "policy.yaml")

    assert (
        str(caught.value)
        == f"policy.yaml:2:10: error: unknown preset {word!r}; did you mean {meant!r}?"
    )


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    "content", [HTML, JSON, PNG, (b"X-None", b"1")], ids=["html", "json", "png", "none"]
)
def test_every_response_has_nosniff_and_names_no_software(name: str, content: tuple[bytes, bytes]):
    """Whatever it carries, and whatever its status."""
    for status in (200, 304, 404, 500):
        made = sent(name, content, (b"Server", b"x/1"), (b"X-Powered-By", b"y"), status=status)

        assert made["X-Content-Type-Options"] == "nosniff"
        assert not {"Server", "X-Powered-By"} & made.keys()


@pytest.mark.parametrize("name", OURS)
def test_what_is_for_pages_stands_on_pages_alone(name: str):
    """No image gets a CSP; a 304 gets nothing that belongs to content."""
    documents = {row.name for row in headers.ALL if row.scope == "documents"}

    assert documents & sent(name, HTML).keys() >= {
        "Content-Security-Policy",
        "X-Frame-Options",
        "Referrer-Policy",
    }
    for fields in ([PNG], [(b"ETag", b'"1"')]):
        assert documents & sent(name, *fields).keys() <= (
            {"Referrer-Policy"} if fields == [PNG] and name.startswith("strict") else set()
        )


@pytest.mark.parametrize("name", PRESETS)
def test_hsts_is_for_https_alone(name: str):
    """RFC 6797 section 7.2; nor is a cookie made Secure over plain HTTP, where it would be lost."""
    cookie = (b"Set-Cookie", b"session=1")

    assert "Strict-Transport-Security" in sent(name, HTML)
    made = sent(name, HTML, cookie, scheme="http")
    assert "Strict-Transport-Security" not in made
    assert "Secure" not in made["Set-Cookie"]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("content", [HTML, JSON, PNG])
def test_a_preset_is_content_with_what_it_made(name: str, content: tuple[bytes, bytes]):
    """Asked again about the response that left, no rule complains: rules of one preset do not
    work against each other.
    """
    once = decided(
        name, content, (b"Server", b"x"), (b"Set-Cookie", b"sessionid=1; Path=/"), path="/logout"
    )

    assert once.changed
    assert decided(name, *once.fields, path="/logout").findings == ()


KEPT: RawFields = [
    HTML,
    (b"Content-Security-Policy", b"script-src 'self' cdn.example"),
    (b"X-Frame-Options", b"SAMEORIGIN"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Strict-Transport-Security", b"max-age=300"),
    (b"Cross-Origin-Opener-Policy", b"same-origin-allow-popups"),
    (b"Cross-Origin-Resource-Policy", b"cross-origin"),
    (b"X-Content-Type-Options", b"nosniff"),
]


@pytest.mark.parametrize("name", ["baseline-2026-11", *FRAMEWORKS])
def test_the_gentle_presets_leave_what_the_service_says_itself(name: str):
    """They fill gaps: a service that sends all of it gets its response back, but for what they
    add beside.
    """
    left = decided(name, *KEPT).fields

    assert left[: len(KEPT)] == KEPT
    assert {field[0] for field in left[len(KEPT) :]} <= {b"X-Permitted-Cross-Domain-Policies"}


def test_the_framework_presets_know_their_documentation_pages():
    """FastAPI's Swagger page may load its own assets and no other page may; elsewhere docs are
    pages.
    """
    docs: Facts = facts(HTML, path="/docs")

    assert (
        "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/"
        in sent("fastapi-2026-11", HTML, path=docs.path)["Content-Security-Policy"]
    )
    assert "cdn.jsdelivr.net" not in sent("fastapi-2026-11", HTML)["Content-Security-Policy"]
    for name in ("django-2026-11", "flask-2026-11", "strict-2026-11"):
        assert (
            sent(name, HTML, path=docs.path)["Content-Security-Policy"]
            == sent(name, HTML)["Content-Security-Policy"]
        )


def test_djangos_csrf_check_keeps_what_it_needs():
    """The token stays readable, and the Referer reaches the site itself."""
    made = decided(
        "django-2026-11",
        HTML,
        (b"Set-Cookie", b"csrftoken=abc; Path=/; SameSite=Lax"),
        (b"Set-Cookie", b"sessionid=def; HttpOnly; Path=/; SameSite=Lax"),
    ).fields

    assert [value for name, value in made if name == b"Set-Cookie"] == [
        b"csrftoken=abc; Path=/; SameSite=Lax; Secure",
        b"sessionid=def; HttpOnly; Path=/; SameSite=Lax; Secure",
    ]
    assert sent("django-2026-11", HTML)["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("name", ["strict-2026-11", "oshp-2026-07"])
def test_site_data_is_cleared_at_the_logout_alone(name: str):
    """Wherever the logout is, and only when it succeeded."""
    assert "Clear-Site-Data" in sent(name, path="/account/logout/", status=302)
    assert "Clear-Site-Data" not in sent(name, HTML, path="/")
    assert "Clear-Site-Data" not in sent(name, HTML, path="/logout", status=405)
