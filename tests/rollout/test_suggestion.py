"""Suggestions: what is added for a cause, what never, and the laws that every edit keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy import csp
from sidecar.policy.csp.extend import extended
from sidecar.policy.csp.match import allows_address, allows_inline
from sidecar.policy.csp.sources import REQUEST_NONCE
from sidecar.policy.terms import PolicyError
from sidecar.rollout.model import Cause
from sidecar.suggest import Suggestion, suggest
from sidecar.suggest.csp import advise
from sidecar.suggest.model import VARIES, PageContents, Proposal, Terms
from tests.rollout.suggesting import SITE, cause, hash_source, inline, snippet

STRICT = "default-src 'none'"
YOUNG = {"clients": 1, "last": 0.0}
GO = hash_source("go()")
PAGES = PageContents(
    [
        snippet("go()"),
        snippet("\n  go2()\n"),
        snippet("buy()", "handler", line=4),
        snippet("p {}", "style", line=5),
        snippet("color: red", "style-attribute", line=6),
        snippet("javascript:void(0)", "javascript-url", line=7),
        *(snippet(f"token = {number}", line=9, **YOUNG) for number in range(5)),
        snippet("late()", line=10, **YOUNG),
        snippet("stamp = 1", line=12, clients=VARIES),
        snippet("buy(7)", "handler", line=13, clients=VARIES),
        *(snippet(f"long {'-' * 40} {number}", line=11) for number in range(2)),
    ],
    {
        ("script-src-elem", "//cdn.test/lib.js"): "/",
        ("form-action", "//pay.test/"): "/cart",
        ("frame-src", "//video.test/embed/7"): "/cart",
        ("img-src", "'self'/logo.png"): "/",
    },
)


def advised(what: Cause, value: str = STRICT, **terms: Any) -> Proposal:
    """What to do about one cause of this policy."""
    return advise(what, csp.parse(value)[0], PAGES, Terms(**terms))


@pytest.mark.parametrize(
    ("what", "value", "sources"),
    [
        (inline("go()"), STRICT, (GO,)),
        (inline("p {}", "style-src-elem"), STRICT, (hash_source("p {}"),)),
        (inline("buy()", "script-src-attr"), STRICT, ("'unsafe-hashes'", hash_source("buy()"))),
        (inline("token = 3"), STRICT, (REQUEST_NONCE,)),
        (inline("stamp = 1", id="yes"), STRICT, (REQUEST_NONCE,)),
        (inline("token = 77"), STRICT, (REQUEST_NONCE,)),
        (inline("\n  go2()\n"), STRICT, (hash_source("\n  go2()\n"),)),
        (
            inline(f"long {'-' * 40}"),
            STRICT,
            tuple(hash_source(f"long {'-' * 40} {number}") for number in range(2)),
        ),
        (inline("late()", id="yes"), STRICT, (hash_source("late()"),)),
        (cause(f"{SITE}/app.js"), STRICT, ("'self'",)),
        (cause(f"{SITE}/logo.png", "img-src", **YOUNG), STRICT, ("'self'",)),
        (cause("wss://shop.test/live", "connect-src"), STRICT, ("'self'",)),
        (cause("https://cdn.test/lib.js", **YOUNG), STRICT, ("https://cdn.test/lib.js",)),
        (cause("https://cdn.test/x.js"), STRICT, ("https://cdn.test/x.js",)),
        (cause("https://cdn.test/a;b.js"), STRICT, ("https://cdn.test/a%3Bb.js",)),
        (cause("https://unpkg.com/react/react.js"), STRICT, ("https://unpkg.com/react/react.js",)),
        (cause("https://img.test/a.png", "img-src"), STRICT, ("https://img.test",)),
        (
            cause("https://img.test/a.png", "img-src", kind="unserved"),
            STRICT,
            ("https://img.test",),
        ),
        (
            cause("https://video.test", "frame-src", kind="unserved"),
            STRICT,
            ("https://video.test",),
        ),
        (cause("https://img.test:8443/a.png", "img-src"), STRICT, ("https://img.test:8443",)),
        (cause("data", "img-src"), STRICT, ("data:",)),
        (cause("blob:", "media-src"), STRICT, ("blob:",)),
        (cause("wasm-eval", "script-src"), STRICT, ("'wasm-unsafe-eval'",)),
        (cause("https://pay.test/", "form-action"), "form-action 'self'", ("https://pay.test",)),
        (cause(f"{SITE}/", "base-uri"), "base-uri 'none'", ("'self'",)),
        (
            cause("https://partner.test/", "frame-ancestors", id="yes"),
            "frame-ancestors 'self'",
            ("https://partner.test",),
        ),
    ],
)
def test_what_is_added(what: Cause, value: str, sources: tuple[str, ...]):
    """The narrowest source that is certain to hold."""
    found = advised(what, value, accepted=frozenset({"yes"}))
    assert (found.outcome, found.sources) == ("add", sources), found


@pytest.mark.parametrize(
    ("what", "value", "word"),
    [
        (cause("eval", "script-src"), STRICT, "'unsafe-eval'"),
        (inline("buy(7)", "script-src-attr"), STRICT, "varies"),
        (cause("data"), STRICT, "data: in script-src-elem"),
        (cause("blob", "worker-src"), STRICT, "serve the worker's code"),
        (cause("data", "frame-src"), STRICT, "srcdoc"),
        (inline("javascript:void(0)"), STRICT, "'unsafe-inline'"),
        (cause("https://accounts.google.com/o/oauth2/revoke"), STRICT, "JSONP"),
        (cause("https://cdnjs.cloudflare.com/angular.js/1.8/angular.min.js"), STRICT, "AngularJS"),
        (cause("https://u.github.io/" + "x" * 100), STRICT, "anyone's files"),
        (cause("https://10.0.0.7/a.js"), STRICT, "IP address"),
        (cause("https://[2001:db8::1]/a.js"), STRICT, "IP address"),
        (cause("http://img.test/a.png", "img-src"), STRICT, "write https:"),
        (cause("https://evil.test/", "base-uri"), "base-uri 'none'", "redirect every relative"),
        (cause("https://flash.test/a.swf", "object-src"), STRICT, "iframe"),
        (cause("https://thief.test/", "frame-ancestors"), "frame-ancestors 'none'", "clickjacker"),
    ],
)
def test_what_is_refused(what: Cause, value: str, word: str):
    """A widening that would undo the policy, accepted or not; the right fix stands beside it."""
    found = advised(what, value)
    assert found.outcome == "refused"
    assert word in f"{found.text} {found.fix}"
    assert found.fix
    assert not found.sources


@pytest.mark.parametrize(
    ("what", "word"),
    [
        (inline("late()"), "seen by 1 client over 0s; 3 clients over 1h are needed"),
        (inline("nowhere()"), "--url"),
        (cause("https://cdn.test/x.js", **YOUNG), "seen by 1 client"),
        (cause("https://cdn.test/x.js", kind="unexplained", origin=""), "no page"),
        (cause("https://steal.test/", "form-action"), "--url"),
        (cause("https://cdn.test/x.js", kind="unserved"), "--url"),
        (cause("https://ads.test", "frame-src", kind="unserved"), "--url"),
    ],
)
def test_what_waits(what: Cause, word: str):
    """What too few have met, and what no page is known to hold."""
    found = advised(what, f"{STRICT}; form-action 'none'")
    assert found.outcome == "waiting"
    assert word in f"{found.text} {found.fix}"


@pytest.mark.parametrize(
    ("what", "value"),
    [
        (inline("go()"), f"script-src {GO}"),
        (inline("go()"), "script-src 'unsafe-inline'"),
        (cause("https://cdn.test/x.js"), "script-src https://cdn.test"),
        (cause("https://cdn.test/x.js"), "img-src 'none'"),
        (cause("data", "img-src"), "img-src data:"),
        (cause("eval", "script-src"), "script-src 'unsafe-eval'"),
    ],
)
def test_what_the_file_allows_already(what: Cause, value: str):
    """A cause of an earlier text of the file asks for nothing."""
    assert advised(what, value).outcome == "allowed"


@pytest.mark.parametrize(
    ("what", "value", "word"),
    [
        (cause("https://cdn.test/x.js"), "script-src 'strict-dynamic' 'nonce-{request}'", "nonce"),
        (inline("go()"), "script-src 'nonce-{request}'", "/, line 3"),
        (inline("made()", kind="script", source=f"{SITE}/app.js"), STRICT, f"{SITE}/app.js"),
        (cause("", "require-trusted-types-for"), "require-trusted-types-for 'script'", "textCont"),
        (cause(f"{SITE}/", "frame-ancestors"), "frame-ancestors 'none'", "partner"),
    ],
)
def test_where_the_page_has_to_change(what: Cause, value: str, word: str):
    """No source would help: advice."""
    found = advised(what, value)
    assert found.outcome == "advice"
    assert word in found.fix


@pytest.mark.parametrize(
    ("rule", "what", "word"),
    [
        ('set, value: "script-src https://cdn.test"', cause("https://cdn.test/a.js"), "redirects"),
        (
            'merge, value: "script-src https://cdn.test"',
            cause("https://cdn.test/a.js"),
            "service's own policy",
        ),
        (
            'set, value: "img-src http:; upgrade-insecure-requests"',
            cause("http://img.test/a.png", "img-src"),
            "upgrade",
        ),
        (f'set, value: "script-src {GO}"', inline("go()"), "another text"),
    ],
)
def test_what_the_value_allows_and_browsers_block(rule: str, what: Cause, word: str):
    """Reported of this very value: an edit would not help, and the reason is said. Of an earlier
    value, nothing is.
    """
    text = f"{HEAD}  csp: {{header: Content-Security-Policy, action: {rule}}}\n"
    found = suggest(text, [what], PAGES, Terms(), running=text)
    assert (found.proposals[0].outcome, found.text) == ("advice", text)
    assert word in found.proposals[0].text
    assert suggest(text, [what], PAGES, Terms()).proposals[0].outcome == "allowed"


def test_what_one_edit_allows_the_next_need_not():
    """Two causes of one host are one edit, also where the value is the one in force."""
    causes = (cause(f"{SITE}/a.js"), cause(f"{SITE}/b.js", id="c2"))
    found = suggest(HEAD + LINE, causes, PAGES, Terms(), running=HEAD + LINE)
    assert [one.outcome for one in found.proposals] == ["add", "allowed"]


def test_many_files_of_one_host_are_its_origin():
    """Unless strangers can publish there: then file by file."""
    files = {
        host: tuple(f"https://{host}/{number}.js" for number in range(6))
        for host in ("cdn.test", "unpkg.com")
    }
    sources = {
        host: advised(cause(found[0], addresses=found)).sources for host, found in files.items()
    }
    assert sources == {"cdn.test": ("https://cdn.test",), "unpkg.com": files["unpkg.com"]}


@pytest.mark.parametrize(
    ("before", "directive", "after"),
    [
        ("default-src 'self'", "script-src-elem", "default-src 'self'; script-src 'self' x.test"),
        ("script-src 'self'", "script-src-elem", "script-src 'self' x.test"),
        (
            "script-src a.test; script-src-elem 'none'",
            "script-src-elem",
            "script-src a.test; script-src-elem x.test",
        ),
        ("default-src 'none'", "img-src", "default-src 'none'; img-src x.test"),
        (
            "default-src 'self' 'unsafe-inline'",
            "img-src",
            "default-src 'self' 'unsafe-inline'; img-src 'self' x.test",
        ),
        ("script-src a.test", "worker-src", "script-src a.test; worker-src a.test x.test"),
        ("child-src a.test", "frame-src", "child-src a.test; frame-src a.test x.test"),
        ("default-src x.test", "script-src-attr", "default-src x.test; script-src-attr x.test"),
        ("script-src 'unsafe-hashes'", "script-src-attr", "script-src 'unsafe-hashes' x.test"),
        ("img-src 'none'", "form-action", "img-src 'none'"),
    ],
)
def test_which_directive_gains(before: str, directive: str, after: str):
    """The one of the family; a new one takes over what its fallback allowed."""
    made, _ = extended(csp.parse(before)[0], directive, ("x.test",))
    assert csp.serialise(made) == after


HEAD = "version: 1\nmode: trial\nrules:\n"
LINE = (
    "  csp: {header: Content-Security-Policy, action: set, value: \"default-src 'none'\"}  # ours\n"
)
BLOCK = """\
  csp:   # the pages' policy
    header: Content-Security-Policy
    action: set
    value:  # by team web
      default-src: ["'self'"]  # base
      script-src:
        - "'self'"  # ours
        - https://x.test
      img-src: ["'none'"]
    # only pages
    when: {content-type: text/html}
"""
CAUSES = (inline("go()"), cause("https://img.test/a.png", "img-src", id="c2"))


def made(rules: str, *causes: Cause, comments: bool = False, **more: Any) -> Suggestion:
    """The suggestion for a file with these rules."""
    return suggest(HEAD + rules, causes, PAGES, Terms(), comments=comments, **more)


def test_the_smallest_edit_of_one_line():
    """A text stays a text, and the comment stays."""
    after = f"default-src 'none'; script-src {GO}; img-src https://img.test"
    assert made(LINE, *CAUSES).text == HEAD + LINE.replace("default-src 'none'", after)


def test_the_smallest_edit_of_a_mapping():
    """Items are added to the lists that are there; 'none' gives way; every other byte stays."""
    wanted = BLOCK.replace("- https://x.test\n", f'- https://x.test\n        - "{GO}"\n').replace(
        "img-src: [\"'none'\"]", 'img-src: ["https://img.test"]'
    )
    assert made(BLOCK, *CAUSES).text == HEAD + wanted
    assert made(BLOCK.replace("\n", "\r\n"), *CAUSES).text == HEAD + wanted.replace("\n", "\r\n")


def test_from_a_trial_each_source_has_its_witness():
    """A line for each, in the style that the rule is written in; added to later in the same
    form.
    """
    text = made(LINE, *CAUSES, comments=True).text
    seen = "12 reports of 4 clients on / since 1970-01-01 00:00Z"
    wanted = f"""\
  csp: {{header: Content-Security-Policy, action: set, value: {{
      default-src: ["'none'"],
      script-src: [
        "{GO}",  # {seen}; it is in /, line 3
      ],
      img-src: [
        "https://img.test",  # {seen}
      ],
    }}}}  # ours
"""
    assert text == HEAD + wanted
    more = cause("https://cdn.test/lib.js", id="c3")
    later = suggest(text, [more], PAGES, Terms(), comments=True).text
    added = (
        f'        "https://cdn.test/lib.js",  # {seen}; it is in the page /\n      ],\n      img'
    )
    assert later == text.replace("      ],\n      img", added)


def test_a_rule_of_a_preset_is_overridden():
    """The value comes from elsewhere: the file gets one of its own, and the rest of the rule
    stays the preset's.
    """
    text = "version: 1\nmode: trial\nextends: [strict-2026-11]\n"
    found = suggest(text, CAUSES, PAGES, Terms())
    assert found.text.startswith(f"{text}rules:\n  csp: {{value: {{default-src: ")
    assert 'img-src: ["\'self\'", "https://img.test"]' in found.text


def test_a_route_with_a_value_of_its_own_gains_it_there():
    """And a route without one in the rule that it shares."""
    routes = """\
routes:
  - name: api
    match: {path: /api/*}
    rules: {csp: {value: "default-src 'self'"}}
  - {name: old, match: {path: /old/*}}
"""
    api, old = (cause("https://a.test/a.png", "img-src", route=name) for name in ("api", "old"))
    assert "'self'; img-src 'self' https://a.test\"}}" in made(LINE + routes, api).text
    assert "'none'; img-src https://a.test\"}  # ours" in made(LINE + routes, old).text


@pytest.mark.parametrize(
    "rules",
    [
        (
            '  csp: {header: Content-Security-Policy, action: set, value: &v "default-src'
            " 'none'\"}\n  b: {header: Content-Security-Policy, action: append, value: *v}\n"
        ),
    ],
)
def test_what_cannot_be_edited_safely_is_said(rules: str):
    """With its place; nothing is written."""
    with pytest.raises(PolicyError, match=r"policy\.yaml:4:\d+: error: this value is shared"):
        made(rules, *CAUSES)


def test_an_unknown_rule_is_said():
    """With the name that was meant."""
    with pytest.raises(PolicyError, match="unknown rule 'cps'; did you mean 'csp'"):
        made(LINE, rule="cps")


def test_what_extensions_cause_asks_for_nothing():
    """Not even to be shown."""
    assert made(LINE, cause("https://x.test/", kind="noise")) == Suggestion((), HEAD + LINE)


@pytest.mark.parametrize(
    ("header", "value", "what", "after"),
    [
        (
            "Permissions-Policy",
            "geolocation=(), camera=()",
            {"type": "permissions-policy-violation", "directive": "camera"},
            "geolocation=(), camera=(self)",
        ),
        (
            "Cross-Origin-Embedder-Policy",
            "require-corp",
            {"type": "coep", "directive": "corp"},
            "credentialless",
        ),
        (
            "Cross-Origin-Embedder-Policy",
            "require-corp",
            {"type": "coep", "directive": "navigation"},
            "require-corp",
        ),
        (
            "Cross-Origin-Opener-Policy",
            "same-origin",
            {"type": "coop", "directive": "navigation-from-response"},
            "same-origin-allow-popups",
        ),
        (
            "Cross-Origin-Opener-Policy",
            "same-origin",
            {"type": "coop", "directive": "navigation-to-response"},
            "same-origin",
        ),
        (
            "Integrity-Policy",
            "blocked-destinations=(script)",
            {"type": "integrity-violation", "directive": "script"},
            "blocked-destinations=(script)",
        ),
        ("X-Frame-Options", "DENY", {"directive": "frame-ancestors"}, "DENY"),
    ],
)
def test_other_headers(header: str, value: str, what: dict[str, str], after: str):
    """The smallest correct edit, or advice."""
    rule = f'  csp: {{header: {header}, action: set, value: "{value}"}}\n'
    found = made(rule, cause("https://x.test/", **what))
    assert found.text == HEAD + rule.replace(f'"{value}"', f'"{after}"')
    assert found.proposals[0].outcome == ("advice" if after == value else "add")


def test_one_edit_of_another_header_is_enough():
    """The second cause of a feature asks for nothing more."""
    rule = '  csp: {header: Permissions-Policy, action: set, value: "camera=()"}\n'
    what = {"type": "permissions-policy-violation", "directive": "camera"}
    found = made(rule, cause("", **what), cause("", id="c2", pages=("/cart",), **what))
    assert [one.outcome for one in found.proposals] == ["add", "allowed"]


def test_a_merge_would_lose_a_hash():
    """It allows only what the service's own policy names too; with leave to widen it does not."""
    merge = LINE.replace("set", "merge")
    assert made(merge, inline("go()")).proposals[0].outcome == "advice"
    widened = merge.replace("merge", "merge, widen: true")
    assert made(widened, inline("go()")).proposals[0].outcome == "add"


SOURCES = st.sampled_from(
    (
        "'self'",
        "'none'",
        "https://cdn.test",
        "cdn.test",
        "https://cdn.test/lib.js",
        "*.test",
        "https:",
        "data:",
        "'unsafe-inline'",
        "'unsafe-hashes'",
        "'strict-dynamic'",
        REQUEST_NONCE,
        GO,
        "'sha256-AAAA'",
        "*",
    )
)
NAMES = (
    "default-src",
    "script-src",
    "script-src-elem",
    "script-src-attr",
    "style-src",
    "style-src-attr",
    "img-src",
    "child-src",
    "frame-src",
    "worker-src",
    "connect-src",
)
VALUES = st.dictionaries(
    st.sampled_from(NAMES), st.lists(SOURCES, min_size=1, max_size=4), min_size=1, max_size=5
).map(lambda found: "; ".join(" ".join((name, *words)) for name, words in found.items()))
URLS = (
    f"{SITE}/app.js",
    "https://cdn.test/lib.js",
    "https://cdn.test/other.js",
    "https://img.test/a.png",
    "http://old.test/a.js",
    "https://unpkg.com/a.js",
    "data:",
    "blob:",
    "wss://shop.test/",
)
FETCHES = (*(name for name in NAMES if not name.endswith("-attr")), "font-src")
BLOCKED = st.one_of(
    st.builds(cause, st.sampled_from(URLS), st.sampled_from(FETCHES)),
    st.builds(inline, st.sampled_from(("go()", "late()", "token = 2"))),
    st.builds(inline, st.just("buy()"), st.just("script-src-attr")),
    st.builds(inline, st.just("color: red"), st.just("style-src-attr")),
    st.builds(cause, st.sampled_from(("eval", "wasm-eval")), st.just("script-src")),
)
FORMS = st.sampled_from(
    (
        '  csp: {header: Content-Security-Policy, action: set, value: "%s"}  # a\n',
        (
            '  csp:\n    value: "%s"   # b\n    header: Content-Security-Policy\n    # c\n   '
            " action: set\n"
        ),
        "%block%",
    )
)


def written(form: str, value: str) -> str:
    """A rule with this value."""
    if form != "%block%":
        return form % value
    lines = []
    for one in csp.parse(value)[0].directives:
        lines.append(f"      {one.name}:\n")
        lines += [f'        - "{word}"  # {word}\n' for word in one.values]
    return (
        f"  csp:  # d\n    header: Content-Security-Policy\n    value:\n{''.join(lines)}    action:"
        " set\n"
    )


@given(VALUES, st.lists(BLOCKED, min_size=1, max_size=4), FORMS, st.booleans())
def test_laws(value: str, causes: list[Cause], form: str, comments: bool):
    """An edit allows no less, silences what it says it does, is made once, and leaves every
    other line as it is.
    """
    text = HEAD + "  first: {header: X-A, action: set, value: a}  # e\n" + written(form, value)
    text += "  last: {header: X-B, action: set, value: b}\n# the end\n"
    found = suggest(text, causes, PAGES, Terms(), comments=comments)
    before, after = (policy_of(one) for one in (text, found.text))
    for name in FETCHES:
        for url in URLS:
            assert not allows_address(before, name, url, SITE) or allows_address(
                after, name, url, SITE
            ), (name, url, found.text)
    for name in ("script-src-elem", "script-src-attr", "style-src-elem", "style-src-attr"):
        for digest in (GO.strip("'"), "sha256-other"):
            assert not allows_inline(before, name, digest) or allows_inline(after, name, digest), (
                name,
                found.text,
            )
    for one, proposal in zip(causes, found.proposals, strict=True):
        if proposal.outcome == "add":
            silent = "advice" if proposal.needs_person else "allowed"
            assert advise(one, after, PAGES, Terms()).outcome == silent, (one, found.text)
    assert suggest(found.text, causes, PAGES, Terms(), comments=comments).text == found.text
    kept = [line for line in text.splitlines() if "#" in line and "value:" not in line]
    lines = found.text.splitlines()
    assert all(line in lines or "'none'" in line for line in kept), found.text


def policy_of(text: str) -> csp.CspPolicy:
    """What the rule csp of a file says."""
    from sidecar.source import load_policy

    rules = {named.name: named.rule for named in load_policy(text.encode(), "").routes[-1].rules}
    return csp.parse(rules["csp"].text)[0]
