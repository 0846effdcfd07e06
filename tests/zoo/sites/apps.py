"""CSP and what applications do beside loading files: forms, payment frames, workers, sockets,
windows.
"""

from __future__ import annotations

from tests.zoo.site import (
    WORKS,
    Asked,
    Family,
    Page,
    Visitor,
    html,
    script,
    shows,
)

FAMILY = Family("CSP: applications")
_add = FAMILY.add
_CODE = "document.title = 'works'"
_OWN = script(_CODE)
_APP = html("", "<script src=/app.js></script>")
_LISTENS = (
    "<script>addEventListener('message', (event) => { document.title = event.data; });</script>"
)
_SPEAKS = html("<script>(opener || parent).postMessage('works', '*')</script>")
_API = Page("works", "text/plain", headers=(("Access-Control-Allow-Origin", "*"),))
_FORM = "<form method=post action='{}'><input name=q value=1><button>go</button></form>"


def _csp(value: str) -> str:
    return f'header: Content-Security-Policy, action: set, value: "{value}"'


def _clicks(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('button').click()")
    return visitor.until(WORKS)


def _comes_again(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.go("/")
    return visitor.until(WORKS)


def _dials(visitor: Visitor) -> bool:
    visitor.go("/")
    return visitor.arrives("api:/socket")


def _known(asked: Asked) -> Page:
    if asked.cookies.get("seen"):
        return html(f"<script>{_CODE}</script>")
    return html("<p>hello</p>", "", ("Set-Cookie", "seen=1; Path=/"))


def _strict(asked: Asked) -> Page:
    nonce = asked.headers.get("x-csp-nonce", "")
    adds = (
        "const it = document.createElement('script'); it.src = '%CDN%/lib.js';"
        " document.head.append(it)"
    )
    return html("", f"<script nonce='{nonce}'>{adds}</script>")


_add(
    "csp-form-leads-elsewhere",
    _csp("form-action 'self'"),
    {
        "/": html(_FORM.format("/checkout")),
        "/checkout": Page(status=303, headers=(("Location", "%OTHER%/pay"),)),
        "other:/pay": html("", f"<script>{_CODE}</script>"),
    },
    _clicks,
    breaks=True,
    witness="browsers",
    schemes=("http",),
)
_add(
    "csp-frame-leads-elsewhere",
    _csp("frame-src 'self'"),
    {
        "/": html("<iframe src=/go></iframe>", _LISTENS),
        "/go": Page(status=302, headers=(("Location", "%OTHER%/w"),)),
        "other:/w": _SPEAKS,
    },
    WORKS,
    breaks=True,
    witness="browsers",
)
_PAYMENT = {
    "/": html("<div></div>", f"{_LISTENS}<script src='%CDN%/pay.js' defer></script>"),
    "cdn:/pay.js": script(
        "const it = document.createElement('iframe'); it.src = '%OTHER%/card';"
        " document.querySelector('div').append(it);"
    ),
    "other:/card": _SPEAKS,
}
_PAYS = "default-src 'self'; script-src 'self' 'unsafe-inline' %CDN%/"
_add("csp-payment-frame", _csp(_PAYS), _PAYMENT, WORKS, breaks=True, witness="browsers")
_add(
    "csp-payment-named",
    _csp(f"{_PAYS}; frame-src %OTHER-ORIGIN%"),
    _PAYMENT,
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-shared-worker",
    _csp("connect-src 'self'"),
    {
        "/": _APP,
        "/app.js": script(
            "new SharedWorker('/worker.js').port.onmessage = (event) => { document.title ="
            " event.data; };"
        ),
        "/worker.js": script(
            "onconnect = (event) => fetch('%API%/data').then((it) => it.text()).then((it) =>"
            " event.ports[0].postMessage(it), () => event.ports[0].postMessage('refused'));"
        ),
        "api:/data": _API,
    },
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-window-written",
    _csp("script-src 'self'"),
    {
        "/": html("<button>open</button>", "<script src=/app.js defer></script>"),
        "/app.js": script(
            "document.querySelector('button').onclick = () => { const it = window.open('');"
            " it.document.write(\"<script>opener.document.title = 'works'</\" + 'script>');"
            " it.document.close(); };"
        ),
    },
    _clicks,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-socket-elsewhere",
    _csp("connect-src 'self'"),
    {
        "/": _APP,
        "/app.js": script("new WebSocket('%API%/socket'.replace('http', 'ws'))"),
        "api:/socket": Page("", "text/plain", 426),
    },
    _dials,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-events-own",
    _csp("default-src 'self'"),
    {
        "/": _APP,
        "/app.js": script(
            "new EventSource('/events').onmessage = (event) => { document.title = event.data; };"
        ),
        "/events": Page("data: works\n\n", "text/event-stream"),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-second-visit",
    _csp("default-src 'self'"),
    {"/": _known},
    _comes_again,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-error-page",
    _csp("default-src 'self'"),
    {"/": html("fine"), "/none": Page(f"<!doctype html><script>{_CODE}</script>", status=404)},
    shows(WORKS, "/none"),
    breaks=True,
    witness="browsers",
    schemes=("http",),
)
_add(
    "csp-built-modules",
    _csp("default-src 'self'"),
    {
        "/": html(
            "<p>text</p>",
            "<script nomodule>old()</script><script type=application/json id=data>"
            '{"title": "works"}</script><link rel=modulepreload href=/dep.js>'
            "<script type=module crossorigin src=/app.js></script>",
        ),
        "/app.js": script("import {title} from './dep.js'; document.title = title;"),
        "/dep.js": script(
            "export const {title} = JSON.parse(document.getElementById('data').textContent);"
            "const it = new CSSStyleSheet(); it.replaceSync('p { color: red }');"
            "document.adoptedStyleSheets = [it]; document.querySelector('p').style.margin = '1em';"
        ),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-strict-dynamic",
    _csp("script-src 'nonce-{request}' 'strict-dynamic'; object-src 'none'; base-uri 'none'"),
    {"/": _strict, "cdn:/lib.js": _OWN},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-base-own",
    _csp("base-uri 'self'"),
    {"/": html("", "<base href=/app/><script src=a.js></script>"), "/app/a.js": _OWN},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-default-policy-of-types",
    _csp("require-trusted-types-for 'script'; trusted-types default"),
    {
        "/": html("<p></p>", "<script src=/app.js defer></script>"),
        "/app.js": script(
            "trustedTypes.createPolicy('default', {createHTML: (it) => it});"
            " document.querySelector('p').innerHTML = '<b>works</b>'; document.title = 'works';"
        ),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)


def _follows(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('a').click()")
    return visitor.until(WORKS)


_LINKED = {
    "/": html("<a href=/next>next</a>"),
    "/next": html("", f"<script>{_CODE}</script>"),
}
_add(
    "csp-upgrade-link-https",
    _csp("upgrade-insecure-requests"),
    _LINKED,
    _follows,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-upgrade-link",
    _csp("upgrade-insecure-requests"),
    _LINKED,
    _follows,
    breaks=True,
    witness="nobody",
    schemes=("http",),
)
_REFUSES = ("Content-Security-Policy", "script-src 'self'")
_REFUSED = {
    "/": html("", "<script>dead()</script><script src=/app.js></script>", _REFUSES),
    "/app.js": _OWN,
}
for name, rule in (
    ("csp-merge-refused-already", "merge, value: {object-src: [\"'none'\"]}"),
    ("csp-append-refused-already", "append, value: \"script-src 'self' 'unsafe-eval'\""),
):
    _add(
        name,
        f"header: Content-Security-Policy, action: {rule}",
        _REFUSED,
        WORKS,
        breaks=False,
        witness="browsers",
    )
_add(
    "csp-data-fetched-by-no-line",
    _csp("default-src 'self'"),
    {
        "/": _APP,
        "/app.js": script(
            "Promise.resolve('data:text/plain,works').then(fetch).then((it) => it.text()).then("
            "(it) => { document.title = it; })"
        ),
    },
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-worklet-of-the-page",
    _csp("script-src 'self' 'unsafe-inline'"),
    {
        "/": html(
            "",
            "<script>const code = new Blob(['1'], {type: 'text/javascript'});"
            " new OfflineAudioContext(1, 1, 44100).audioWorklet"
            f".addModule(URL.createObjectURL(code)).then(() => {{ {_CODE} }});</script>",
        )
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "csp-download-made",
    _csp("default-src 'self'"),
    {
        "/": html("<a download=a.txt>save</a>", "<script src=/app.js defer></script>"),
        "/app.js": script(
            "const it = document.querySelector('a'); it.href = URL.createObjectURL(new Blob());"
            " it.click(); document.title = 'works';"
        ),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)


def _dials_home(visitor: Visitor) -> bool:
    visitor.go("/")
    return visitor.arrives("/socket")


_add(
    "csp-socket-own",
    _csp("default-src 'self'"),
    {
        "/": _APP,
        "/app.js": script("new WebSocket(`${location.origin.replace('http', 'ws')}/socket`)"),
        "/socket": Page("", "text/plain", 426),
    },
    _dials_home,
    breaks=False,
    witness="browsers",
)
_REWRITES = {
    "/": html(
        "",
        "<script>trustedTypes.createPolicy('default', {createScriptURL: (it) => '%CDN%/' + it});"
        " const it = document.createElement('script'); it.src = 'lib.js';"
        " document.head.append(it)</script>",
        ("Content-Security-Policy", "require-trusted-types-for 'script'"),
    ),
    "cdn:/lib.js": _OWN,
}
for name, rule in (
    ("csp-types-removed", "header: Content-Security-Policy, action: remove"),
    ("csp-types-replaced", _csp("object-src 'none'")),
):
    _add(name, rule, _REWRITES, WORKS, breaks=True, witness="nobody")
_PRELOADS = {
    "/": html("", "<link rel=preload href=/app.js as=script><script src=/app.js></script>"),
    "/app.js": _OWN,
}
_add(
    "csp-preloaded-own",
    _csp("default-src 'self'"),
    _PRELOADS,
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-speculated-own",
    _csp("default-src 'self'; script-src 'self' 'unsafe-inline'"),
    {
        "/": html(
            "<a href=/next>next</a>",
            '<script type=speculationrules>{"prerender": [{"urls": ["/next"]}]}</script>',
        ),
        "/next": _APP,
        "/app.js": _OWN,
    },
    _follows,
    breaks=False,
    witness="browsers",
)
for name, rule, breaks in (
    ("csp-sandboxed-page", "object-src 'none'", False),
    ("csp-sandboxed-page-inline", "script-src 'self'", True),
):
    _add(
        name,
        f'header: Content-Security-Policy, action: append, value: "{rule}"',
        {
            "/": html(
                "",
                f"<script>{_CODE}</script>",
                ("Content-Security-Policy", "sandbox allow-scripts"),
            )
        },
        WORKS,
        breaks=breaks,
        witness="browsers",
    )
_add(
    "csp-sheets-adopted",
    _csp("style-src 'self'"),
    {
        "/": html("<p>text</p>", "<script src=/app.js defer></script>"),
        "/app.js": script(
            "const it = new CSSStyleSheet(), text = document.querySelector('p'); it.replaceSync('p"
            " { width: 77px }'); document.adoptedStyleSheets = [it]; text.style.cssText = 'height:"
            " 5px'; if (text.offsetWidth + text.offsetHeight === 82) document.title = 'works';"
        ),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-hints-of-pages",
    _csp("default-src 'self'"),
    {
        "/": html(
            "",
            "<link rel=preconnect href='%CDN%/'><link rel=dns-prefetch href='%CDN%/'><link"
            " rel=prefetch href='%CDN%/later.js'><script type='application/ld+json'>{}</script>"
            "<script src=/app.js></script>",
        ),
        "/app.js": _OWN,
        "cdn:/later.js": _OWN,
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_BLOB_WORKER = (
    "const text = `importScripts('%CDN%/lib.js'); postMessage(said)`; new"
    " Worker(URL.createObjectURL(new Blob([text]))).onmessage = (event) => { document.title ="
    " event.data; };"
)
for _name, _more, _breaks in (("", "", True), ("-named", " %CDN%/", False)):
    _add(
        f"csp-in-blob-worker{_name}",
        _csp(f"script-src 'self'{_more}; worker-src blob:"),
        {
            "/": _APP,
            "/app.js": script(_BLOB_WORKER),
            "cdn:/lib.js": script("var said = 'works';"),
        },
        WORKS,
        breaks=_breaks,
        witness="browsers",
    )
_SAID = script("export const said = 'works';", ("Access-Control-Allow-Origin", "*"))
_WORKLET = (
    "class It extends AudioWorkletProcessor { process() { return false; } };"
    " registerProcessor('it', It);"
)
_add(
    "csp-worklet-of-a-file",
    _csp("script-src 'self'"),
    {
        "/": _APP,
        "/app.js": script(
            f"const it = new OfflineAudioContext(1, 128, 8000).audioWorklet, text = `{_WORKLET}`;"
            " it.addModule(URL.createObjectURL(new Blob([text], {type: 'text/javascript'})))"
            ".then(() => { document.title = 'works'; });"
        ),
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "csp-module-worker-made",
    _csp("script-src 'self'; worker-src blob:"),
    {
        "/": _APP,
        "/app.js": script(
            "const text = `import {said} from '%CDN%/lib.js'; postMessage(said)`; new"
            " Worker(URL.createObjectURL(new Blob([text], {type: 'text/javascript'})), {type:"
            " 'module'}).onmessage = (event) => { document.title = event.data; };"
        ),
        "cdn:/lib.js": _SAID,
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
for _name, _from, _breaks in (("elsewhere", "%CDN%", True), ("own", "%SITE%", False)):
    _add(
        f"csp-module-worker-{_name}",
        _csp("script-src 'self'"),
        {
            "/": _APP,
            "/app.js": script(
                "new Worker('/w.js', {type: 'module'}).onmessage = (event) => { document.title ="
                " event.data; };"
            ),
            "/w.js": script(f"import {{said}} from '{_from}/lib.js'; postMessage(said);"),
            "cdn:/lib.js": _SAID,
            "/lib.js": _SAID,
        },
        WORKS,
        breaks=_breaks,
        witness="nobody" if _breaks else "browsers",
        schemes=("https", "http"),
    )
for _name, _to, _breaks in (("", "%PLAIN%", True), ("-of-another-host", "%SUB%", False)):
    _add(
        f"csp-upgrade-link-to-port{_name}",
        _csp("upgrade-insecure-requests"),
        {
            "/": html(f"<a href='{_to}/legacy'>legacy</a>"),
            "/legacy": html("", f"<script>{_CODE}</script>"),
            "sub:/legacy": html("", f"<script>{_CODE}</script>"),
        },
        _follows,
        breaks=_breaks,
        witness="nobody" if _breaks else "browsers",
    )
