"""Who is framed by whom: the breakage test of `X-Frame-Options` and of `frame-ancestors` alone.

Source: HTML section 7.1.6 (X-Frame-Options); CSP Level 3 section 6.4.2 (frame-ancestors: every
ancestor must be allowed); Fetch Metadata.
"""

from __future__ import annotations

from collections import OrderedDict

from sidecar.policy import csp
from sidecar.policy.browsers.removals import upgrade_test
from sidecar.policy.browsers.storage import saved
from sidecar.policy.csp.match import address, matches
from sidecar.policy.csp.sources import parse_source
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import (
    FRAMES,
    Fetch,
    Outcome,
    began_here,
    lines,
    may_be_kept,
    may_be_page,
    media_type,
)

REMEMBERED = 4096
"""Pages of visitors in a frame of another site; the oldest are forgotten."""


class FramedPages:
    """A bounded memory of the pages of visitors that others frame."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: OrderedDict[int, Outcome] = OrderedDict()

    def note(self, facts: Facts, *, framed: bool, surely: bool = True) -> None:
        """Whether the page that is asked for stands in such a frame now; not `surely`: it is a file
        that other pages may load too.
        """
        page = hash((facts.client, facts.host, facts.path))
        if not framed:
            self._held.pop(page, None)
            return
        for key in (page, hash((facts.client, facts.host))):
            self._held.pop(key, None)
            self._held[key] = "break" if surely else "unknown"
        while len(self._held) > REMEMBERED:
            self._held.popitem(last=False)

    def around(self, facts: Facts, fetch: Fetch) -> Outcome:
        """Whether the page that the request names, by its Referer, is one of them."""
        if hash((facts.client, facts.host)) not in self._held:
            return "safe"
        page = None if fetch.referer is None else address(fetch.referer.decode("latin-1"))
        if page is None:
            return "unknown"
        held = self._held.get(hash((facts.client, facts.host, page.path)))
        # The Referer may be only the origin.
        return held or ("unknown" if page.path == "/" else "safe")


class Framing:
    """Who embeds a page, and a bounded memory of the pages that another origin frames.

    `allowed` as in frame-ancestors; `overruled` when the service's own frame-ancestors decides,
    `replaces` when the service's own policy is gone. A request for a frame names only the page
    around it, so a page of the same origin may still be framed by another site.
    """

    __slots__ = ("_allowed", "_framed", "_origins", "_overruled", "_replaces")

    def __init__(
        self, allowed: tuple[str, ...], *, overruled: bool, replaces: bool = False
    ) -> None:
        self._allowed, self._overruled, self._replaces = allowed, overruled, replaces
        self._origins = [parse_source(word) for word in allowed if not word.startswith("'")]
        self._framed = FramedPages()

    @property
    def asks(self) -> bool:
        """Whether pages further out decide: only where the same origin may frame, but not all."""
        return "'self'" in self._allowed and "*" not in self._allowed

    def watch(self, facts: Facts, fetch: Fetch) -> bool:
        """Note which pages are framed, for every request on every route; False: nothing breaks."""
        if fetch.silent is None and fetch.dest is not None:
            if fetch.dest == b"document":
                self._framed.note(facts, framed=False)
            elif fetch.dest in FRAMES and self._around(facts, fetch) != "safe":
                self._framed.note(facts, framed=True)
        return False

    def __call__(self, facts: Facts, fetch: Fetch) -> Outcome:
        """What the response shows of the rule."""
        silent = fetch.silent
        policies = lines(facts, b"content-security-policy")
        if self._overruled and silent != "irrelevant" and csp.names_ancestors(policies):
            return "safe"
        if silent is not None:
            return silent
        if "*" not in self._allowed and may_be_page(facts, fetch) and _framable(facts):
            return "open"
        if self._replaces and (fetch.dest == b"document" or fetch.dest in FRAMES):
            framed = self._inside(facts, fetch)
            return upgrade_test(facts, fetch) if framed == "safe" else framed
        return self._inside(facts, fetch)

    def _inside(self, facts: Facts, fetch: Fetch) -> Outcome:
        """What the response shows of who frames it."""
        if fetch.dest == b"document":
            return "safe"
        if fetch.dest not in FRAMES:
            return "unknown" if may_be_kept(facts, fetch) else "data"
        if not _framable(facts):
            return "safe"
        media = media_type(facts)
        drawn = media.startswith(b"image/") and media != b"image/svg+xml"  # SVG is a document
        if fetch.dest in (b"object", b"embed") and drawn:
            return "safe"
        around = self._around(facts, fetch)
        # The page around it is on the list; pages of others around that are named by no request.
        beyond = around == "safe" and fetch.site not in (b"none", b"same-origin")
        return "open" if around == "unknown" or (beyond and "*" not in self._allowed) else around

    def _around(self, facts: Facts, fetch: Fetch) -> Outcome:
        """What the pages around this one say."""
        if "*" in self._allowed:
            return "safe"
        if fetch.site == b"none":
            return (
                "unknown"  # a page of an extension: no other request for a frame comes from nobody
            )
        if "'self'" in self._allowed and fetch.site != b"same-origin" and began_here(facts, fetch):
            return "unknown"
        if fetch.site != b"same-origin" or "'self'" not in self._allowed:
            return self._listed(fetch)
        return self._framed.around(facts, fetch)

    def _listed(self, fetch: Fetch) -> Outcome:
        """Whether the embedding page's origin, by Referer or Origin, is on the list."""
        if not self._origins:
            return "break"
        data = fetch.origin if fetch.origin not in (None, b"null") else fetch.referer
        page = None if data is None else address(data.decode("latin-1"))
        if page is None:
            return "unknown"
        # Without a scheme, a source has that of the page; paths do not count (CSP3 6.4.2).
        covered = any(matches(one, page, page, redirected=True) for one in self._origins)
        return "safe" if covered else "break"


def _framable(facts: Facts) -> bool:
    """Whether anything would be shown; what a redirect leads to is judged by itself."""
    return not (300 <= facts.status < 400 or facts.status in (204, 205) or saved(facts))
