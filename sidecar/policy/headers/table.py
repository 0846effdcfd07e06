"""The table of headers: one row for each security-relevant response header in use, and the names
that disclose.

Lives here: `Header`, the rows, and the names to remove. Data only: must not know how a value is
judged, merged or collapsed (see `headers`). To add a header, add a row.
Sources: the specification named in each row; OWASP Secure Headers Project, lists of 2026-07-19.
"""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Group: TypeAlias = Literal[
    "content",
    "transport",
    "framing",
    "cross-origin",
    "cors",
    "reporting",
    "session",
    "caching",
    "disclosure",
    "deprecated",
]
Grammar: TypeAlias = Literal[
    "csp",
    "permissions",
    "endpoints",
    "integrity",
    "dictionary",
    "item",
    "boolean",
    "hsts",
    "referrer",
    "cache",
    "vary",
    "names",
    "site-data",
    "cookie",
    "token",
    "exact",
    "origin",
    "origins",
    "number",
    "nel",
    "report-to",
    "media-type",
    "disposition",
    "date",
    "challenge",
    "path",
    "allowlist",
    "text",
]
"""How a value is read; `token` and `exact` are single words, and case counts in the latter
alone.
"""
Scope: TypeAlias = Literal["documents", "all", "https", "logout"]
"""Where the header has an effect: pages (and workers), every response, responses over HTTPS, the
response to a logout.
"""
Repeats: TypeAlias = Literal[
    "first", "last", "union", "intersect", "invalid", "conflict-blocks", "separate"
]
"""How browsers take several copies: the first counts; they are one list in which the last entry
counts; they are one list; all of them hold; none of them counts; they block unless they agree; each
is a header of its own.
"""

_DICTIONARIES = ("permissions", "endpoints", "integrity", "dictionary")


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of one header. Texts are sentences for people; `strong` is a value as sent,
    "" = depends.
    """

    name: str
    group: Group
    grammar: Grammar
    purpose: str
    """What it is for; of a deprecated header: what to do instead."""
    spec: str
    scope: Scope = "all"
    repeats: Repeats = "first"
    strong: str = ""
    tokens: tuple[str, ...] = ()
    """The values that browsers recognise, the most protective first; () = not a closed list."""
    weak: tuple[tuple[str, str], ...] = ()
    """Values that protect little, and why."""
    twin: str | None = None
    """The header that only reports what this one would block, where one exists."""
    breaks: str = ""
    deprecated: bool = False

    @property
    def key(self) -> str:
        """The name in lower case."""
        return self.name.lower()

    @property
    def single(self) -> bool:
        """Whether it may stand once only in a response."""
        return self.repeats in ("first", "invalid", "conflict-blocks")

    @property
    def shape(self) -> Literal["single", "list", "dictionary", "policies", "lines"]:
        """What the copies of the header are together."""
        if self.repeats in ("intersect", "separate"):
            return "policies" if self.repeats == "intersect" else "lines"
        if self.single:
            return "single"
        return "dictionary" if self.grammar in _DICTIONARIES else "list"


_RFC = "https://www.rfc-editor.org/rfc/rfc"
_W3C = "https://www.w3.org/TR/"
_WICG = "https://wicg.github.io/"
_HTML = "https://html.spec.whatwg.org/multipage/"
_FETCH = "https://fetch.spec.whatwg.org/#"
_MDN = "https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/"
_OSHP = "https://owasp.org/www-project-secure-headers/"

_CSP = (
    "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'; frame-ancestors"
    " 'none'; upgrade-insecure-requests"
)
_COOP = ("same-origin", "noopener-allow-popups", "same-origin-allow-popups", "unsafe-none")
_COEP = ("require-corp", "credentialless", "unsafe-none")
_DIP = ("isolate-and-require-corp", "isolate-and-credentialless", "none")

ALL: tuple[Header, ...] = (
    # what a page may load and do
    Header(
        "Content-Security-Policy",
        "content",
        "csp",
        "Says where a page may load from, so that injected scripts do not run.",
        f"{_W3C}CSP3/#csp-header",
        scope="documents",
        repeats="intersect",
        strong=_CSP,
        twin="Content-Security-Policy-Report-Only",
        breaks=(
            "Inline scripts and styles, and everything from hosts that it does not name; API"
            " documentation pages such as Swagger."
        ),
    ),
    Header(
        "Content-Security-Policy-Report-Only",
        "content",
        "csp",
        "Reports what a Content-Security-Policy would block, and blocks nothing.",
        f"{_W3C}CSP3/#cspro-header",
        scope="documents",
        repeats="intersect",
        breaks="Nothing; without report-uri or report-to it is of no use.",
    ),
    Header(
        "Permissions-Policy",
        "content",
        "permissions",
        "Switches off browser features for the page and its frames.",
        f"{_W3C}permissions-policy-1/#permissions-policy-http-header-field",
        scope="documents",
        repeats="last",
        strong="camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        twin="Permissions-Policy-Report-Only",
        breaks="Pages, and frames in them, that use a feature that it switches off.",
    ),
    Header(
        "Permissions-Policy-Report-Only",
        "content",
        "permissions",
        "Reports the use of features that a Permissions-Policy would switch off.",
        f"{_W3C}permissions-policy-1/#permissions-policy-report-only-http-header-field",
        scope="documents",
        repeats="last",
    ),
    Header(
        "Document-Policy",
        "content",
        "dictionary",
        "Limits what costs a page speed or safety, such as synchronous scripts.",
        f"{_WICG}document-policy/",
        scope="documents",
        repeats="last",
        twin="Document-Policy-Report-Only",
        breaks="Pages that do what it limits.",
    ),
    Header(
        "Document-Policy-Report-Only",
        "content",
        "dictionary",
        "Reports what a Document-Policy would refuse.",
        f"{_WICG}document-policy/",
        scope="documents",
        repeats="last",
    ),
    Header(
        "Require-Document-Policy",
        "content",
        "dictionary",
        "Demands a Document-Policy of the frames in a page.",
        f"{_WICG}document-policy/",
        scope="documents",
        repeats="last",
        breaks="Frames that do not send the policy.",
    ),
    Header(
        "Integrity-Policy",
        "content",
        "integrity",
        "Blocks scripts and styles without integrity metadata.",
        f"{_W3C}sri-2/#integrity-policy-section",
        scope="documents",
        repeats="last",
        strong="blocked-destinations=(script)",
        twin="Integrity-Policy-Report-Only",
        breaks="Scripts or styles without an integrity attribute.",
    ),
    Header(
        "Integrity-Policy-Report-Only",
        "content",
        "integrity",
        "Reports what an Integrity-Policy would block.",
        f"{_W3C}sri-2/#integrity-policy-section",
        scope="documents",
        repeats="last",
    ),
    Header(
        "Connection-Allowlist",
        "content",
        "allowlist",
        "Names the only addresses that a page may connect to (trial in Chromium).",
        f"{_WICG}connection-allowlists/",
        scope="documents",
        twin="Connection-Allowlist-Report-Only",
        breaks="Connections to all other addresses.",
    ),
    Header(
        "Connection-Allowlist-Report-Only",
        "content",
        "allowlist",
        "Reports what a Connection-Allowlist would block.",
        f"{_WICG}connection-allowlists/",
        scope="documents",
    ),
    Header(
        "X-Content-Type-Options",
        "content",
        "token",
        "Keeps browsers from guessing a type other than the one that was sent.",
        f"{_FETCH}x-content-type-options-header",
        strong="nosniff",
        tokens=("nosniff",),
        breaks="Scripts and styles that are served with a wrong Content-Type.",
    ),
    Header(
        "Content-Type",
        "content",
        "media-type",
        "Names the media type; without it, or with a wrong one, browsers guess or refuse.",
        f"{_RFC}9110#section-8.3",
        repeats="invalid",
    ),
    Header(
        "Content-Disposition",
        "content",
        "disposition",
        "Makes a browser save a response (attachment) and not show it, for uploads of visitors.",
        f"{_RFC}6266",
        repeats="invalid",
    ),
    Header(
        "Service-Worker-Allowed",
        "content",
        "path",
        "Lets a service worker rule over more than its own directory.",
        f"{_W3C}service-workers/#service-worker-allowed",
        weak=(("/", "A worker script in any directory may take over the whole site."),),
    ),
    Header(
        "Referrer-Policy",
        "content",
        "referrer",
        "Limits what links and loads tell other sites of the page's address.",
        f"{_W3C}referrer-policy/#referrer-policy-header",
        scope="documents",
        repeats="last",
        strong="no-referrer",
        breaks=(
            "With no-referrer: cross-site request checks that read the Referer, such as Django's"
            " over HTTPS."
        ),
    ),
    Header(
        "X-DNS-Prefetch-Control",
        "content",
        "token",
        "Keeps browsers from looking up the hosts of links ahead (Chromium).",
        f"{_MDN}X-DNS-Prefetch-Control",
        scope="documents",
        strong="off",
        tokens=("off", "on"),
        weak=(("on", "Name lookups tell the network which links a page holds."),),
    ),
    # the way there, and frames around it
    Header(
        "Strict-Transport-Security",
        "transport",
        "hsts",
        "Makes browsers use HTTPS only, for as long as it says.",
        f"{_RFC}6797",
        scope="https",
        strong="max-age=63072000; includeSubDomains",
        breaks=(
            "Every host (with includeSubDomains: every subdomain) that cannot be reached over"
            " HTTPS, until max-age has passed."
        ),
    ),
    Header(
        "X-Frame-Options",
        "framing",
        "token",
        "Keeps other sites from framing the page; frame-ancestors of a CSP wins over it.",
        f"{_HTML}document-lifecycle.html#the-x-frame-options-header",
        scope="documents",
        repeats="conflict-blocks",
        strong="DENY",
        tokens=("deny", "sameorigin"),
        breaks="Pages that are meant to be framed.",
    ),
    # what other origins may do with it
    Header(
        "Cross-Origin-Opener-Policy",
        "cross-origin",
        "item",
        "Cuts the tie between the page and windows of other sites.",
        f"{_HTML}browsers.html#cross-origin-opener-policies",
        scope="documents",
        repeats="invalid",
        strong="same-origin",
        tokens=_COOP,
        weak=(("unsafe-none", "Windows of other sites keep a handle on the page."),),
        twin="Cross-Origin-Opener-Policy-Report-Only",
        breaks="Logins and payments in pop-up windows (use same-origin-allow-popups).",
    ),
    Header(
        "Cross-Origin-Opener-Policy-Report-Only",
        "cross-origin",
        "item",
        "Reports what a Cross-Origin-Opener-Policy would cut.",
        f"{_HTML}browsers.html#cross-origin-opener-policies",
        scope="documents",
        repeats="invalid",
        tokens=_COOP,
    ),
    Header(
        "Cross-Origin-Embedder-Policy",
        "cross-origin",
        "item",
        "Lets the page embed only what agrees to be embedded.",
        f"{_HTML}browsers.html#coep",
        scope="documents",
        repeats="invalid",
        strong="require-corp",
        tokens=_COEP,
        weak=(("unsafe-none", "It is the same as no header."),),
        twin="Cross-Origin-Embedder-Policy-Report-Only",
        breaks=(
            "Embedded images, scripts and frames of third parties that send no CORP or CORS header."
        ),
    ),
    Header(
        "Cross-Origin-Embedder-Policy-Report-Only",
        "cross-origin",
        "item",
        "Reports what a Cross-Origin-Embedder-Policy would block.",
        f"{_HTML}browsers.html#coep",
        scope="documents",
        repeats="invalid",
        tokens=_COEP,
    ),
    Header(
        "Cross-Origin-Resource-Policy",
        "cross-origin",
        "exact",
        "Keeps other sites from embedding the response.",
        f"{_FETCH}cross-origin-resource-policy-header",
        repeats="invalid",
        strong="same-origin",
        tokens=("same-origin", "same-site", "cross-origin"),
        breaks=(
            "Images, scripts and API responses that other sites embed (use cross-origin for public"
            " assets)."
        ),
    ),
    Header(
        "Origin-Agent-Cluster",
        "cross-origin",
        "boolean",
        "Asks for a process of the origin's own, apart from its sibling hosts.",
        f"{_HTML}browsers.html#origin-keyed-agent-clusters",
        scope="documents",
        repeats="invalid",
        strong="?1",
        breaks="Pages that set document.domain.",
    ),
    Header(
        "Document-Isolation-Policy",
        "cross-origin",
        "item",
        "Isolates one document, whatever stands around it (Chromium).",
        f"{_WICG}document-isolation-policy/",
        scope="documents",
        repeats="invalid",
        tokens=_DIP,
        twin="Document-Isolation-Policy-Report-Only",
        breaks="Third-party embeds, and scripts shared with other windows of the site.",
    ),
    Header(
        "Document-Isolation-Policy-Report-Only",
        "cross-origin",
        "item",
        "Reports what a Document-Isolation-Policy would block.",
        f"{_WICG}document-isolation-policy/",
        scope="documents",
        repeats="invalid",
        tokens=_DIP,
    ),
    Header(
        "X-Permitted-Cross-Domain-Policies",
        "cross-origin",
        "token",
        "Keeps PDF readers and the like from reading the site for other sites.",
        _OSHP,
        strong="none",
        tokens=(
            "none",
            "none-this-response",
            "master-only",
            "by-content-type",
            "by-ftp-filename",
            "all",
        ),
        weak=(("all", "Any policy file on the host opens it to other sites."),),
    ),
    Header(
        "Timing-Allow-Origin",
        "cross-origin",
        "origins",
        "Lets other sites see how long the response took.",
        f"{_W3C}resource-timing/#sec-timing-allow-origin",
        repeats="union",
        weak=(
            ("*", "Any site can time responses and learn from it what its visitor may see here."),
        ),
    ),
    # leave for scripts of other origins
    Header(
        "Access-Control-Allow-Origin",
        "cors",
        "origin",
        "Lets scripts of one origin, or of all, read the response; compare the request's origin"
        " exactly.",
        f"{_FETCH}http-access-control-allow-origin",
        repeats="invalid",
        weak=(("null", "Anyone can make a page whose origin is null, in a sandboxed frame."),),
    ),
    Header(
        "Access-Control-Allow-Credentials",
        "cors",
        "exact",
        "Lets that origin's scripts read responses that cookies gave; never beside any origin.",
        f"{_FETCH}http-access-control-allow-credentials",
        repeats="invalid",
        tokens=("true",),
    ),
    Header(
        "Access-Control-Allow-Methods",
        "cors",
        "names",
        "Names the methods that scripts of other origins may use.",
        f"{_FETCH}http-access-control-allow-methods",
        repeats="union",
    ),
    Header(
        "Access-Control-Allow-Headers",
        "cors",
        "names",
        "Names the request headers that scripts of other origins may send.",
        f"{_FETCH}http-access-control-allow-headers",
        repeats="union",
    ),
    Header(
        "Access-Control-Expose-Headers",
        "cors",
        "names",
        "Names the response headers that scripts of other origins may read.",
        f"{_FETCH}http-access-control-expose-headers",
        repeats="union",
    ),
    Header(
        "Access-Control-Max-Age",
        "cors",
        "number",
        "Says for how many seconds leave is remembered.",
        f"{_FETCH}http-access-control-max-age",
        repeats="invalid",
    ),
    Header(
        "Access-Control-Allow-Private-Network",
        "cors",
        "exact",
        "Let pages of the public network reach this host; browsers now ask the user.",
        f"{_WICG}private-network-access/",
        repeats="invalid",
        tokens=("true",),
        weak=(("true", "It opens a host of a private network to public pages."),),
    ),
    # where browsers report to
    Header(
        "Reporting-Endpoints",
        "reporting",
        "endpoints",
        "Names the addresses that report-to directives speak of.",
        f"{_W3C}reporting-1/#header",
        scope="documents",
        repeats="last",
    ),
    Header(
        "Report-To",
        "reporting",
        "report-to",
        "Use Reporting-Endpoints; only Network Error Logging still reads it.",
        f"{_W3C}2018/WD-reporting-1-20180925/#header",
        scope="https",
        repeats="union",
        deprecated=True,
    ),
    Header(
        "NEL",
        "reporting",
        "nel",
        "Asks for reports of failed connections (Chromium); needs Report-To.",
        f"{_W3C}network-error-logging/",
        scope="https",
    ),
    # what browsers keep
    Header(
        "Set-Cookie",
        "session",
        "cookie",
        "Stores a cookie; its attributes say who may read and send it.",
        "https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html",
        repeats="separate",
        breaks=(
            "Secure: sites without HTTPS; HttpOnly: scripts that read the cookie; SameSite: logins"
            " and embeds that come from other sites."
        ),
    ),
    Header(
        "Clear-Site-Data",
        "session",
        "site-data",
        "Makes a browser forget what it holds of the site.",
        f"{_W3C}clear-site-data/",
        scope="logout",
        repeats="union",
        strong='"cache","cookies","storage"',
        breaks="Everything kept on the client, on all pages of the origin; it can be slow.",
    ),
    Header(
        "WWW-Authenticate",
        "session",
        "challenge",
        "Asks for credentials; its realm should name no software.",
        f"{_RFC}9110#section-11.6.1",
        repeats="union",
    ),
    Header(
        "Cache-Control",
        "caching",
        "cache",
        "Says who may keep a response and for how long.",
        f"{_RFC}9111#section-5.2",
        repeats="union",
        strong="no-store, max-age=0",
        breaks="With no-store: the cache for static files, and fast back navigation.",
    ),
    Header(
        "Vary",
        "caching",
        "vary",
        "Names the request headers that a response depends on, so that caches keep them apart.",
        f"{_RFC}9110#section-12.5.5",
        repeats="union",
    ),
    Header(
        "Expires",
        "caching",
        "date",
        "Says until when a response is fresh; Cache-Control wins over it.",
        f"{_RFC}9111#section-5.3",
    ),
    Header(
        "Pragma",
        "caching",
        "text",
        "Use Cache-Control; caches never had to obey it in responses.",
        f"{_RFC}9111#section-5.4",
        repeats="union",
        deprecated=True,
    ),
    # what reveals too much
    Header(
        "Server",
        "disclosure",
        "text",
        "Names the software, and often its version.",
        f"{_RFC}9110#section-10.2.4",
    ),
    Header("X-Powered-By", "disclosure", "text", "Names the framework or language.", _OSHP),
    Header("X-Generator", "disclosure", "text", "Names the content management system.", _OSHP),
    Header("X-AspNet-Version", "disclosure", "text", "Names the version of ASP.NET.", _OSHP),
    Header("X-AspNetMvc-Version", "disclosure", "text", "Names the version of ASP.NET MVC.", _OSHP),
    Header(
        "Via",
        "disclosure",
        "text",
        "Names the proxies on the way.",
        f"{_RFC}9110#section-7.6.3",
        repeats="union",
    ),
    Header(
        "Server-Timing",
        "disclosure",
        "text",
        "Tells how long the parts of a response took, and so what goes on inside.",
        f"{_W3C}server-timing/",
        repeats="union",
    ),
    Header(
        "SourceMap",
        "disclosure",
        "text",
        "Leads to the source code of scripts.",
        "https://tc39.es/ecma426/",
        breaks="Debugging in the browser.",
    ),
    Header(
        "X-SourceMap",
        "disclosure",
        "text",
        "Leads to the source code of scripts.",
        "https://tc39.es/ecma426/",
        breaks="Debugging in the browser.",
    ),
    # what should no longer be sent
    Header(
        "X-XSS-Protection",
        "deprecated",
        "token",
        "Remove it or send 0: the filter is gone, and it made holes where it still runs.",
        f"{_MDN}X-XSS-Protection",
        scope="documents",
        strong="0",
        weak=(("1", "The filter can be made to break sound scripts."),),
        deprecated=True,
    ),
    Header(
        "Expect-CT",
        "deprecated",
        "text",
        "Remove it: browsers demand certificate transparency by themselves.",
        f"{_RFC}9163",
        deprecated=True,
    ),
    Header(
        "Public-Key-Pins",
        "deprecated",
        "text",
        "Remove it: browsers dropped key pinning.",
        f"{_RFC}7469",
        scope="https",
        deprecated=True,
    ),
    Header(
        "Public-Key-Pins-Report-Only",
        "deprecated",
        "text",
        "Remove it: browsers dropped key pinning.",
        f"{_RFC}7469",
        scope="https",
        deprecated=True,
    ),
    Header(
        "Feature-Policy",
        "deprecated",
        "text",
        "Use Permissions-Policy, which has another syntax.",
        f"{_W3C}permissions-policy-1/",
        scope="documents",
        deprecated=True,
    ),
    Header(
        "X-Content-Security-Policy",
        "deprecated",
        "csp",
        "Use Content-Security-Policy.",
        f"{_W3C}CSP3/",
        scope="documents",
        repeats="intersect",
        deprecated=True,
    ),
    Header(
        "X-WebKit-CSP",
        "deprecated",
        "csp",
        "Use Content-Security-Policy.",
        f"{_W3C}CSP3/",
        scope="documents",
        repeats="intersect",
        deprecated=True,
    ),
    Header(
        "P3P",
        "deprecated",
        "text",
        "Remove it: no browser reads it.",
        f"{_W3C}P3P/",
        deprecated=True,
    ),
    Header(
        "X-Download-Options",
        "deprecated",
        "text",
        "Remove it: it served Internet Explorer.",
        _OSHP,
        deprecated=True,
    ),
    Header(
        "X-UA-Compatible",
        "deprecated",
        "text",
        "Remove it: it served Internet Explorer.",
        _OSHP,
        deprecated=True,
    ),
)

DISCLOSURE: frozenset[str] = frozenset(
    """
    $wsep host-header k-proxy-request liferay-portal oraclecommercecloud-version pega-host
    powered-by product server sourcemap x-aspnet-version x-aspnetmvc-version x-atmosphere-error
    x-atmosphere-first-request x-atmosphere-tracking-id x-b3-parentspanid x-b3-sampled x-b3-spanid
    x-b3-traceid x-backside-transport x-beserver x-calculatedbetarget x-cf-powered-by x-cms
    x-cocoon-version x-content-encoded-by x-datadog-origin x-datadog-parent-id
    x-datadog-sampling-priority x-datadog-tags x-datadog-trace-id x-diaginfo x-dtagentid
    x-dthealthcheck x-dtinjectedservlet x-envoy-attempt-count x-envoy-external-address
    x-envoy-internal x-envoy-original-dst-host x-envoy-upstream-service-time x-feserver x-framework
    x-generated-by x-generator x-gitlab-meta x-jitsi-release x-joomla-version x-kong-admin-latency
    x-kong-client-latency x-kong-proxy-latency x-kong-request-id x-kong-response-latency
    x-kong-third-party-latency x-kong-total-latency x-kong-upstream-latency x-kong-upstream-status
    x-kubernetes-pf-flowschema-ui x-kubernetes-pf-flowschema-uid x-kubernetes-pf-prioritylevel-uid
    x-litespeed-cache x-litespeed-cache-control x-litespeed-purge x-litespeed-tag x-litespeed-vary
    x-mod-pagespeed x-nextjs-cache x-nextjs-matched-path x-nextjs-page x-nextjs-redirect
    x-old-content-length x-oneagent-js-injection x-owa-version x-page-speed x-php-version
    x-powered-by x-powered-by-plesk x-powered-cms x-redirect-by x-ruxit-js-agent x-server-powered-by
    x-sourcefiles x-sourcemap x-turbo-charged-by x-tyk-trace-id x-umbraco-version x-varnish-backend
    x-varnish-server x-woodpecker-version
    """.split()
)
"""Names to remove from responses, in lower case: the OWASP list, and the name that Kubernetes
really sends (...-UID).
"""
