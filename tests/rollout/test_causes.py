"""Causes: reports of browsers grouped, told apart and bounded, whatever is posted."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.policy.browsers.pages import PageElements, read_page
from sidecar.policy.browsers.reports import BrowserReport
from sidecar.rollout.causes import MAX_CAUSES, MAX_OF_RULE, PER_MINUTE, Causes, classify
from sidecar.rollout.served_pages import ENOUGH, ServedPages
from tests.policy.making import plan
from tests.portion import FULL

CSP = {
    "header": "Content-Security-Policy",
    "action": "set",
    "value": "default-src 'self'",
    "mode": "trial",
}
SITE = "https://shop.test"


def report(**known: Any) -> BrowserReport:
    """An inline script that a page of the site has."""
    fixed = {
        "type": "csp-violation",
        "directive": "script-src-elem",
        "disposition": "report",
        "blocked": "inline",
    }
    place = {
        "document": "/cart",
        "noise": False,
        "sample": "go()",
        "source": f"{SITE}/cart",
        "origin": SITE,
        "line": 3,
    }
    return BrowserReport(**(fixed | place | known))


EXTENSION = "chrome-extension"


class Harness:
    """Causes with a clock, for a plan with one rule in trial."""

    def __init__(self, rule: dict[str, Any] = CSP) -> None:
        self.now = 1000.0
        self.served = ServedPages(lambda: self.now)
        self.causes = Causes(lambda: self.now, self.served)
        made = plan({"csp": rule})
        self.served.activated(made)
        self.causes.activated(made)
        (self.key,) = made.trials

    def add(self, client: str = "192.0.2.1", engine: str = "chromium", **known: Any) -> Any:
        """Count one report."""
        return self.causes.add(self.key, report(**known), client, engine)

    def serve(self, path: str, html: str = "<p>nothing", times: int = ENOUGH) -> None:
        """Pages that were read."""
        page = read_page(html.encode(), "utf-8", f"{SITE}{path}")
        for _ in range(times):
            self.served.add("default", path, "a", page)

    def kind(self) -> str:
        """That of the one cause."""
        (cause,) = self.causes.of("default", "csp")
        return cause.kind


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        ({}, "served"),
        ({"source": ""}, "served"),
        ({"source": f"{SITE}/app.js", "blocked": "eval"}, "script"),
        ({"source": "https://cdn.test/lib.js", "blocked": "https://api.test"}, "script"),
        ({"noise": True}, "noise"),
        ({"origin": ""}, "unexplained"),
    ],
)
def test_whose_doing_a_report_is(known: dict[str, Any], kind: str):
    """By the script that caused it, as the browser names it."""
    assert classify(report(**known), ServedPages(), "default")[0] == kind


PAGE = (
    "<script>go()</script><script src=https://cdn.test/lib.js></script>"
    "<script>fetch('https://api.test/v1'); box.innerHTML = '<p onclick=show(12)>'</script>"
)


@pytest.mark.parametrize(
    ("known", "kind", "sooner"),
    [
        ({}, "served", "served"),
        ({"sample": "ad()"}, "unserved", "served"),
        ({"sample": "ad()", "source": ""}, "unserved", "served"),
        ({"sample": "ad()", "source": f"{SITE}/app.js"}, "script", "script"),
        ({"sample": "ad()", "source": "https://cdn.test/lib.js"}, "script", "script"),
        ({"sample": "ad()", "source": "https://ads.test/x.js"}, "unserved", "script"),
        ({"sample": "ad()", "noise": True}, "noise", "noise"),
        ({"sample": "ad()", "origin": ""}, "unexplained", "unexplained"),
        ({"sample": ""}, "served", "served"),
        ({"directive": "script-src-attr", "sample": "show(12)"}, "served", "served"),
        ({"directive": "script-src-attr", "sample": "show(1)"}, "unserved", "served"),
        ({"blocked": "https://cdn.test/lib.js", "sample": ""}, "served", "served"),
        ({"blocked": "https://ads.test/x.js", "sample": ""}, "unserved", "served"),
        (
            {"directive": "connect-src", "blocked": "https://api.test/v1", "sample": ""},
            "served",
            "served",
        ),
        ({"directive": "connect-src", "blocked": f"{SITE}/v1", "sample": ""}, "served", "served"),
        ({"directive": "img-src", "blocked": "data:", "sample": ""}, "served", "served"),
        ({"directive": "form-action", "blocked": "https://pay.test/"}, "served", "served"),
        ({"type": "coep", "directive": "corp", "blocked": "https://a.test/"}, "served", "served"),
    ],
)
def test_a_report_is_joined_with_the_pages_that_were_served(
    known: dict[str, Any], kind: str, sooner: str
):
    """What stands in a page is the site's own; what stands in none is not, once the page has
    been read often enough.
    """
    served = ServedPages()
    served.activated(plan({"csp": CSP}))
    page = read_page(PAGE.encode(), "utf-8", f"{SITE}/cart")
    for _ in range(ENOUGH - 1):
        served.add("default", "/cart", "a", page)
    assert classify(report(**known), served, "default")[0] == sooner
    served.add("default", "/cart", "a", page)

    assert classify(report(**known), served, "default")[0] == kind


def test_a_cause_is_judged_anew_when_pages_have_been_read():
    """The report comes before the page is read; and a cause met on a page that was never read
    waits for it.
    """
    harness = Harness()
    harness.add(sample="ad()", source="")
    assert harness.kind() == "served"
    harness.serve("/cart")
    assert harness.kind() == "unserved"
    harness.add(sample="ad()", source="", document="/pay")
    assert harness.kind() == "served"
    harness.serve("/pay")
    assert harness.kind() == "unserved"
    harness.serve("/pay", "<script>ad()</script>")
    assert harness.kind() == "served"


def test_reports_that_say_the_same_are_one_cause():
    """Counted with their pages, clients and engines, from the first to the last."""
    harness = Harness()
    assert harness.add() == ("default", "csp", "served")
    harness.now = 1060.0
    harness.add("192.0.2.2", "firefox", document="/pay")
    (cause,) = harness.causes.of("default", "csp")

    assert (cause.count, cause.clients, cause.pages, cause.engines) == (
        2,
        2,
        ("/cart", "/pay"),
        ("chromium", "firefox"),
    )
    assert (cause.first, cause.last, cause.sample) == (1000.0, 1060.0, "go()")


def test_other_origins_are_other_causes():
    """Blocked addresses are grouped by origin; code by its first characters."""
    harness = Harness()
    for blocked in ("https://a.test/1", "https://a.test/2", "https://b.test/1"):
        harness.add(blocked=blocked, sample="")
    harness.add(sample="other()")

    assert [cause.count for cause in harness.causes.of("default", "csp")] == [2, 1, 1]


def test_a_cause_knows_which_addresses_were_blocked():
    """A few of one origin; what the page's own origin served is one cause on every host of the
    site.
    """
    harness = Harness()
    for number in range(20):
        harness.add(blocked=f"https://cdn.test/{number}.js", sample="")
    for host in ("https://shop.test", "https://www.shop.test"):
        harness.add(blocked=f"{host}/app.js", origin=host, source=f"{host}/cart", sample="")

    cdn, own = harness.causes.of("default", "csp")
    assert cdn.addresses == tuple(f"https://cdn.test/{number}.js" for number in range(8))
    assert (own.origin, own.count) == (SITE, 2)
    assert own.addresses == (f"{SITE}/app.js", "https://www.shop.test/app.js")


def test_reports_of_an_earlier_meaning_do_not_count():
    """A key that the plan does not know is counted for no rule; causes of a changed rule are
    gone, others stay.
    """
    harness = Harness()
    harness.add()
    assert harness.causes.add("0123456789abcdef", report(), "192.0.2.1", "") is None
    harness.causes.activated(plan({"csp": CSP, "other": CSP | {"value": "img-src 'self'"}}))
    assert len(harness.causes.all()) == 1
    harness.causes.activated(plan({"csp": CSP | {"value": "default-src 'none'"}}))
    assert harness.causes.all() == ()


@pytest.mark.parametrize(
    ("engine", "directive", "blocked", "line", "counts"),
    [
        ("chromium", "img-src", "sidecar-canary", 0, False),
        ("safari", "default-src", "sidecar-canary:", 0, False),
        ("firefox", "connect-src", "data", 0, False),
        ("firefox", "connect-src", "data", 3, True),
        ("firefox", "img-src", "data", 0, True),
        ("firefox", "style-src-elem", "data", 0, True),
        ("chromium", "connect-src", "data", 0, True),
        ("safari", "connect-src", "data", 0, True),
    ],
)
def test_the_canary_s_own_preload_is_no_cause(
    engine: str, directive: str, blocked: str, line: int, counts: bool
):
    """Rules in trial report it as well: by its scheme, in Firefox a data: address that no line
    asked for; the site's own counts.
    """
    source = f"{SITE}/cart" if line else ""
    known = {"directive": directive, "blocked": blocked, "source": source, "line": line}
    added = Harness().add(engine=engine, sample="", **known)
    assert (added is not None) is counts


def test_harmless_ends_do_not_count():
    """COOP also reports windows that part without loss."""
    assert Harness().add(breaks=False) is None


def test_one_client_is_heard_so_often_a_minute():
    """Who forges reports delays a promotion at worst, and is not heard without end."""
    harness = Harness()
    for number in range(PER_MINUTE + 40):
        harness.add(sample=f"forged {number}")
    assert len(harness.causes.all()) == PER_MINUTE
    assert harness.causes.overflow == 40
    harness.now += 60
    assert harness.add("192.0.2.1", sample="later") is not None


def test_what_found_no_room_and_could_matter_is_counted():
    """Whoever drowns the reports of others does not make a silence of it."""
    harness = Harness()
    for number in range(PER_MINUTE):
        harness.add(sample=f"forged {number}", noise=True)

    assert harness.add(sample="real()") == ("default", "csp", "dropped")
    assert harness.add(sample="more", noise=True) is None
    assert harness.add("192.0.2.2", sample="real()") == ("default", "csp", "served")
    assert harness.add(sample="real()") is None


def test_a_flood_of_distinct_reports_leaves_memory_bounded():
    """So many causes of a rule and in all, whatever comes; the site's own push out what explains
    less.
    """
    harness = Harness()
    for number in range(20_000 if FULL else 4_000):
        harness.now += 1.0
        harness.add(f"client {number}", sample=f"forged {number}", noise=number % 2 == 0)
    harness.add("the browser", sample="real()")

    causes = harness.causes.all()
    assert len(causes) == MAX_OF_RULE <= MAX_CAUSES
    assert {cause.kind for cause in causes} == {"served"}
    assert harness.causes.overflow > 0


def tried(header: str, value: str, **more: Any) -> Harness:
    """Causes of another rule in trial."""
    return Harness({"header": header, "action": "set", "value": value, "mode": "trial", **more})


@pytest.mark.parametrize(
    ("value", "page", "kind"),
    [
        ("camera=(self)", "<iframe src=https://a.test/w></iframe>", "noise"),
        (
            "camera=(self)",
            "<iframe src=https://a.test/w allow='midi; camera *'></iframe>",
            "served",
        ),
        ("camera=(self)", "<p>a script makes the frame", "unexplained"),
        ("sync-xhr=(self)", "<iframe src=https://a.test/w></iframe>", "unexplained"),
    ],
)
def test_frames_under_a_permissions_policy(value: str, page: str, kind: str):
    """What a frame is refused is never reported: what the page gives it decides, and where that
    is not known, somebody must.
    """
    harness = tried("Permissions-Policy", value)
    harness.serve("/cart", page)
    harness.add(directive="frame-src", blocked="https://a.test/w", sample="", source="", line=0)
    assert harness.kind() == kind


COEP = {"type": "coep", "sample": "", "source": "", "line": 0}
WORKER = COEP | {"directive": "worker initialization", "blocked": f"{SITE}/w.js"}
COOP = {
    "type": "coop",
    "directive": "navigation-to-response",
    "sample": "",
    "source": "",
    "line": 0,
}


@pytest.mark.parametrize(
    ("header", "value", "when", "known", "kind"),
    [
        (
            "Cross-Origin-Embedder-Policy",
            "require-corp",
            None,
            COEP | {"directive": "navigation", "blocked": f"{SITE}/w"},
            None,
        ),
        (
            "Cross-Origin-Embedder-Policy",
            "require-corp",
            None,
            COEP | {"directive": "navigation", "blocked": "https://a.test/w"},
            "served",
        ),
        (
            "Cross-Origin-Embedder-Policy",
            "require-corp",
            {"status": 200},
            COEP | {"directive": "navigation", "blocked": f"{SITE}/w"},
            "served",
        ),
        ("Cross-Origin-Embedder-Policy", "require-corp", None, WORKER, "unexplained"),
        (
            "Cross-Origin-Embedder-Policy",
            "require-corp",
            {"content-type": "text/html"},
            WORKER,
            "served",
        ),
        (
            "Cross-Origin-Embedder-Policy",
            "credentialless",
            None,
            COEP | {"directive": "corp", "blocked": "https://a.test/i.png"},
            "unexplained",
        ),
        ("Cross-Origin-Opener-Policy", "same-origin", None, COOP | {"blocked": f"{SITE}/"}, None),
        ("Cross-Origin-Opener-Policy", "same-origin", None, COOP | {"blocked": ""}, "unexplained"),
    ],
)
def test_the_other_end_of_a_report(
    header: str, value: str, when: dict[str, Any] | None, known: dict[str, Any], kind: str | None
):
    """The report-only header of the other page does not count yet, and enforced both agree; what
    a worker loads is not reported.
    """
    harness = tried(header, value, **({"when": when} if when else {}))
    added = harness.add(**known)
    assert (added and harness.kind()) == kind


def test_a_frame_is_a_page_or_it_is_not():
    """A rule that is sent with pages alone rules a frame that was read as one; of others it is not
    known.
    """
    harness = tried(
        "Cross-Origin-Embedder-Policy", "require-corp", when={"content-type": "text/html"}
    )
    harness.add(**COEP, directive="navigation", blocked=f"{SITE}/w")
    assert harness.kind() == "unexplained"
    harness.serve("/w")
    assert harness.kind() == "noise"
    harness.add(**COEP, directive="navigation", blocked=f"{SITE}/notes.txt")
    assert harness.kind() == "unexplained"


@pytest.mark.parametrize(
    ("sign", "kind"),
    [
        ("says cross-origin-embedder-policy", "unexplained"),
        ("says cross-origin-opener-policy", "noise"),
    ],
)
def test_what_the_service_says_itself_stays(sign: str, kind: str):
    """`default` leaves it: such a frame may not carry what the rule says, whether its page is read
    before the report comes or later.
    """
    harness = tried("Cross-Origin-Embedder-Policy", "require-corp", action="default")
    harness.add(**COEP, directive="navigation", blocked=f"{SITE}/w")
    assert harness.kind() == "noise"
    page = PageElements((), (), complete=True, signs=(sign,))
    harness.served.add("default", "/w", "192.0.2.1", page)
    assert harness.kind() == kind


@pytest.mark.parametrize(
    ("blocked", "directive", "counts"),
    [
        ("https://a.test/", "navigation-from-response", False),
        ("", "navigation-to-response", False),
        (f"{SITE}/w", "navigation-from-response", True),
        ("", "access-from-coop-page-to-opener", True),
    ],
)
def test_windows_that_are_parted_today(blocked: str, directive: str, counts: bool):
    """Under COEP beside the service's own COOP those of its own origin are parted besides."""
    when = {"response": {"X-Page": "1"}}
    harness = tried("Cross-Origin-Embedder-Policy", "require-corp", when=when)
    added = harness.add(**COOP | {"directive": directive, "blocked": blocked})
    assert (added is not None) is counts


@pytest.mark.parametrize(
    ("html", "kind"),
    [
        ("<img src=https://a.test/i.png>", "unexplained"),
        ("<img crossorigin src=https://a.test/i.png>", "noise"),
        ("<script src=https://a.test/i.png>", "unexplained"),
        ("<script type=module src=https://a.test/i.png>", "noise"),
    ],
)
def test_what_would_be_loaded_without_cookies(html: str, kind: str):
    """Browsers report by a policy of the trial's what `credentialless` loads so where CORP allows
    it; it does nothing to what is asked for by CORS. How often it is, says nothing.
    """
    harness = tried("Cross-Origin-Embedder-Policy", "credentialless")
    harness.serve("/cart", html)
    harness.add(directive="img-src", blocked="https://a.test/i.png", sample="")
    assert harness.kind() == kind
    (cause,) = harness.causes.of("default", "csp")
    assert cause.type == "coep"


@pytest.mark.parametrize(
    ("when", "held"),
    [
        ({"content-type": "text/html"}, 0),
        ({"class": "html"}, 0),
        ({"content-type": "text/javascript"}, 1),
        ({"response": {"X-Page": "1"}}, 1),
    ],
)
def test_shared_workers_that_carry_the_rule_or_not(when: dict[str, Any], held: int):
    """Where it is sent with pages alone, they do not."""
    harness = tried("Cross-Origin-Embedder-Policy", "require-corp", when=when)
    harness.serve("/cart", "<script>new SharedWorker('/w.js')</script>")
    assert len(harness.causes.of("default", "csp")) == held


@pytest.mark.parametrize(
    ("frame", "held"),
    [("<iframe>", 1), ("<iframe src=about:blank>", 1), ("<iframe src=/map>", 0), ("<p>", 0)],
)
def test_an_empty_frame_that_a_script_works_in(frame: str, held: int):
    """What the page loses it loses there too, and no browser reports that."""
    harness = tried("Permissions-Policy", "usb=()")
    harness.serve("/cart", f"{frame}</iframe><script>it.contentWindow.navigator.usb</script>")
    assert len(harness.causes.of("default", "csp")) == held


def test_a_window_that_parts_from_its_own_site():
    """`noopener-allow-popups` parts pages of one origin too."""
    harness = tried("Cross-Origin-Opener-Policy", "noopener-allow-popups")
    harness.add(**COOP | {"directive": "access-from-coop-page-to-openee"}, blocked="")
    harness.add(**COOP | {"directive": "navigation-from-response"}, blocked=f"{SITE}/w")
    kinds = [cause.kind for cause in harness.causes.of("default", "csp")]
    assert kinds == ["served", "unexplained"]


def test_windows_of_one_site_that_are_isolated_unlike_each_other():
    """COOP parts a page with COEP from one without; alike, both agree."""
    harness = tried("Cross-Origin-Opener-Policy", "same-origin")
    opened = COOP | {"blocked": f"{SITE}/w", "directive": "navigation-from-response"}
    assert harness.add(**opened, isolated=True) is None
    assert harness.add(**opened, isolated=True) is None
    assert harness.add(**opened, isolated=False) is not None
    assert harness.kind() == "unexplained"


def test_the_browser_s_own_style_for_an_image():
    """Chromium shows an image that is opened by itself in a page of its own, with inline styles;
    in a page that was read the same text is the site's.
    """
    harness = Harness()
    style = "display: block;-webkit-user-select: none"
    harness.add(directive="style-src-attr", sample=style, document="/i.png", source="")
    assert harness.kind() == "noise"
    harness.serve("/i.png")
    assert harness.kind() != "noise"


@pytest.mark.parametrize("forged", [{"origin": ""}, {"source": "https://evil.test/x.js"}])
def test_a_forged_report_does_not_hide_the_site_s_own(forged: dict[str, Any]):
    """Whoever reports the same first, with another source or no page, leaves the verdict to what
    browsers report.
    """
    harness = Harness()
    for number in range(ENOUGH):
        harness.serve("/cart", f"<p>{number}<script>go()</script>", times=1)
    harness.add("192.0.2.66", **forged)
    assert harness.kind() in ("unexplained", "unserved")
    harness.add()
    assert harness.kind() == "served"
    harness.add("192.0.2.66", **forged)
    assert harness.kind() == "served"


def test_a_default_policy_of_trusted_types_is_a_cause():
    """It runs unasked under the rule; others are used by code that asks for them."""
    value = "require-trusted-types-for 'script'"
    harness = tried("Content-Security-Policy", value)
    known = {"directive": "trusted-types", "blocked": "trusted-types-policy"}
    assert harness.add(**known, sample="lit-html") is None
    assert harness.add(**known, sample="default") is not None
    assert harness.kind() == "served"


@pytest.mark.parametrize(
    ("sign", "kind"),
    [("gives", "unexplained"), ("gives midi", "unexplained"), ("gives autoplay", "noise")],
)
def test_a_frame_that_a_script_may_give_a_feature(sign: str, kind: str):
    """A sign without a name may mean each of them; a page has a frame of that origin besides."""
    harness = tried("Permissions-Policy", "midi=(self)")
    harness.serve("/cart", "<iframe src=https://a.test/w></iframe>")
    script = PageElements((), (), complete=True, signs=(sign,), script=True)
    harness.served.add("default", "/app.js", "192.0.2.1", script)
    harness.add(directive="frame-src", blocked="https://a.test/w", sample="")
    assert harness.kind() == kind


@pytest.mark.parametrize(
    "acts", ["<script>locate()</script>", "<p ONCLICK = locate()>", "<a href=javascript:locate()>"]
)
def test_frames_in_a_page_s_own_text_are_a_cause(acts: str):
    """Scripts in `srcdoc` lose what the page loses, and no browser reports it."""
    harness = tried("Permissions-Policy", "geolocation=()")
    harness.serve("/cart", '<iframe srcdoc="<p>no script"></iframe>')
    assert harness.causes.of("default", "csp") == ()
    harness.serve("/cart", f'<iframe srcdoc="{acts}"></iframe>')
    assert harness.kind() == "unexplained"


@pytest.mark.parametrize(
    ("value", "frame", "held"),
    [
        ("sync-xhr=(self)", "<iframe sandbox=allow-scripts src=/map>", True),
        ("sync-xhr=(self)", "<iframe sandbox='allow-scripts allow-same-origin' src=/map>", False),
        ("sync-xhr=(self)", "<iframe src=/map>", False),
        ("midi=(self)", "<iframe sandbox src=/map>", False),
        ("midi=(self)", "<iframe sandbox src=/map allow='midi *'>", True),
    ],
)
def test_sandboxed_frames_are_a_cause(value: str, frame: str, held: bool):
    """They are of no origin, so that they lose what frames of other origins lose, unreported."""
    harness = tried("Permissions-Policy", value)
    harness.serve("/cart", frame)
    assert bool(harness.causes.of("default", "csp")) is held


@pytest.mark.parametrize(
    ("header", "value", "held"),
    [
        ("Cross-Origin-Embedder-Policy", "require-corp", 1),
        ("Integrity-Policy", "blocked-destinations=(script)", 1),
        ("Cross-Origin-Opener-Policy", "same-origin", 0),
        ("Content-Security-Policy", "script-src 'self'", 0),
    ],
)
def test_sandboxed_frames_report_by_report_uri_alone(header: str, value: str, held: int):
    """From frames of no origin the Reporting API delivers nothing."""
    harness = tried(header, value)
    harness.serve("/cart", "<iframe sandbox=allow-scripts src=/map>")
    assert len(harness.causes.of("default", "csp")) == held


@pytest.mark.parametrize(("value", "held"), [("script-src 'self'", 1), ("img-src 'self'", 0)])
def test_worklets_of_inline_code_are_a_cause(value: str, held: int):
    """Chromium blocks their code under an enforced policy and reports nothing before."""
    harness = tried("Content-Security-Policy", value)
    harness.serve("/cart", "<script>new AudioContext().audioWorklet.addModule(url)</script>")
    assert len(harness.causes.of("default", "csp")) == held


@pytest.mark.parametrize(
    ("html", "known", "kind"),
    [
        ("<p>", {}, "noise"),
        ("<img src=chrome-extension://abc/i.png>", {}, "unexplained"),
        ("<img src=chrome-extension://abc/i.png>", {"blocked": "https://a.test/"}, "noise"),
        ("<script>show('chrome-extension://abc/i.png')</script>", {}, "unexplained"),
        ("<p>", {"source": f"{SITE}/app.js"}, "unexplained"),
        ("<p>", {"source": f"{SITE}/cart"}, "noise"),
    ],
)
def test_an_extension_that_the_site_itself_uses(html: str, known: dict[str, Any], kind: str):
    """It is no noise: the site would lose it."""
    harness = Harness()
    harness.serve("/cart", html)
    usual = {"directive": "img-src", "blocked": EXTENSION, "source": f"{EXTENSION}://abc"}
    harness.add(**{**usual, "sample": "", "noise": True, **known})
    assert harness.kind() == kind


_ASKS = "a script asks whether it may use"
_IMPORTS = "a worker imports a module of another origin"
_INSIDE = "a script uses usb, perhaps in a frame or a worker that it makes"
_MAKES = "a page makes pages without an address"
_SHARED = "a script starts a shared worker"
_LOADS = "a shared or a service worker loads other scripts"
_LEADS = "a page leads to http: on another port"


@pytest.mark.parametrize(
    ("header", "value", "sign", "held"),
    [
        ("Content-Security-Policy", "script-src 'self'", "worklet", ["a script adds a worklet"]),
        ("Content-Security-Policy", "default-src 'self'", "import", [_IMPORTS]),
        ("Content-Security-Policy", "upgrade-insecure-requests", "plain", [_LEADS]),
        ("Content-Security-Policy", "script-src 'self'", "plain", []),
        ("Permissions-Policy", "usb=()", "inside usb", [_INSIDE]),
        ("Permissions-Policy", "usb=(self)", "inside usb", []),
        ("Cross-Origin-Embedder-Policy", "require-corp", "sandbox", ["no origin"]),
        ("Permissions-Policy", "usb=()", "sandbox", []),
        ("Integrity-Policy", "blocked-destinations=(script)", "makes", [_MAKES]),
        ("Cross-Origin-Embedder-Policy", "require-corp", "makes", []),
        ("Cross-Origin-Embedder-Policy", "require-corp", "shared", [_SHARED]),
        ("Cross-Origin-Opener-Policy", "same-origin", "shared", []),
        ("Integrity-Policy", "blocked-destinations=(script)", "shared", []),
        ("Integrity-Policy", "blocked-destinations=(script)", "imports", [_LOADS]),
        ("Cross-Origin-Embedder-Policy", "require-corp", "imports", []),
        ("Content-Security-Policy", "img-src 'self'", "import", []),
        ("Content-Security-Policy", "script-src 'self'", "asks camera", []),
        ("Permissions-Policy", "camera=(), usb=()", "asks camera", [f"{_ASKS} camera"]),
        ("Permissions-Policy", "camera=(), usb=()", "asks *", [f"{_ASKS} camera, usb"]),
        ("Permissions-Policy", "camera=(self)", "asks camera", []),
        ("Permissions-Policy", "interest-cohort=()", "asks *", []),
    ],
)
def test_signs_in_the_file_of_a_script_are_a_cause(
    header: str, value: str, sign: str, held: list[str]
):
    """What browsers never report, and the rule would take; a script is no page that was read."""
    harness = tried(header, value)
    script = PageElements((), (), complete=True, signs=(sign,), script=True)
    for _ in range(60):
        harness.served.add("default", "/app.js", "192.0.2.1", script)
    assert [cause.blocked for cause in harness.causes.of("default", "csp")] == held
    assert not harness.served.knows("default", "/app.js")


@pytest.mark.parametrize(
    ("header", "value", "held"),
    [
        ("Content-Security-Policy", "script-src 'self'", ["unexplained"]),
        ("Content-Security-Policy", "upgrade-insecure-requests", ["unexplained"]),
        ("Content-Security-Policy", "img-src 'self'", []),
        ("Permissions-Policy", "camera=()", ["unexplained"]),
        ("Cross-Origin-Embedder-Policy", "require-corp", ["unexplained"]),
        ("Integrity-Policy", "blocked-destinations=(script)", ["unexplained"]),
        ("Cross-Origin-Opener-Policy", "same-origin", []),
    ],
)
def test_where_no_page_is_read_no_sign_is_seen(header: str, value: str, held: list[str]):
    """That is a cause by itself, of rules that may block what browsers do not report."""
    harness = tried(header, value)
    harness.served.reads = False
    assert [cause.kind for cause in harness.causes.of("default", "csp")] == held


@pytest.mark.parametrize(
    ("when", "blocked", "kind"),
    [
        (None, f"{SITE}/map", None),
        ({"response": {"X-Page": "1"}}, f"{SITE}/map", "unexplained"),
        (None, "blob:", "unexplained"),
    ],
)
def test_a_frame_of_the_page_s_own(when: dict[str, Any] | None, blocked: str, kind: str | None):
    """It loses what the page loses; one that carries the rule reports that itself."""
    more = {"when": when} if when else {}
    harness = tried("Permissions-Policy", "geolocation=()", **more)
    added = harness.add(directive="frame-src", blocked=blocked, sample="", source="", line=0)
    assert (added and harness.kind()) == kind
