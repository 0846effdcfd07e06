"""Signs in scripts of what browsers block under an enforced policy and never report before.

A sign is a reason to look, no proof: it makes a verdict inconclusive. It is one of the
words below; `ASKS` is followed by the name of a feature, or by `*` where the code does not say
which, and `INSIDE` by that of a feature.

Source: HTML (worklets; module workers), Permissions (`query`), Permissions Policy section 8
(introspection), Media Capture and Streams section 9.2 (`enumerateDevices`), Upgrade Insecure
Requests section 3.2 (navigation); what Chromium 156 did.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import islice

from sidecar.policy.rules.fetch import without_port

WORKLET = "worklet"
"""It adds a worklet (`audioWorklet`, `paintWorklet`), whose code is not reported."""
IMPORT = "import"
"""A worker's script imports a module of another origin, which is not reported."""
PLAIN = "plain"
"""It leads to `http:` on another port of its own host, which would be upgraded there too."""
SANDBOX = "sandbox"
"""It makes a frame without an origin."""
GIVES = "gives"
"""It says what a frame is allowed; with the name of a feature after it, that one."""
FULLSCREEN = "gives fullscreen"
"""It lets a frame use the whole screen, by the older attribute for that."""
MAKES = "makes"
"""It makes pages without an address: frames, windows that it writes, `blob:` addresses."""
INSIDE = "inside "
"""Before a feature's name: it makes frames or workers, or is a worker's, and uses the feature,
perhaps in there, where nothing is reported.
"""
REACHES = "reaches "
"""Before a feature's name: it reaches into frames, and uses the feature, perhaps in one of them."""
SHARED = "shared"
"""It starts a shared worker."""
IMPORTS = "imports"
"""A shared or a service worker's script loads others."""
SAYS = "says "
"""Before the name of a header: the service itself says it for a page. No script shows it."""
ISOLATING = ("cross-origin-embedder-policy", "cross-origin-opener-policy")
"""Headers on which two pages must agree."""
ASKS = "asks "
"""Before a feature's name: it asks whether it may use the feature, which is not reported."""
ANY = f"{ASKS}*"

_QUOTE = "[\"'`]"
_FRAMES = re.compile(rf"createElement\(\s*+{_QUOTE}(?:iframe|IFRAME)|<(?:iframe|IFRAME)|\bsrcdoc\b")
_SANDBOX = re.compile(rf"\.sandbox\s*+(?:=[^=]|\.add\()|{_QUOTE}sandbox{_QUOTE}\s*+,")
_GIVES = re.compile(rf"\.allow\s*+=[^=]|{_QUOTE}allow{_QUOTE}\s*+,")
_ALLOW = (".allow", "'allow'", '"allow"', "`allow`")
_GIVES_MADE = re.compile(
    rf"(?:[{{,]\s*+{_QUOTE}?allow{_QUOTE}?\s*+:|<(?i:iframe)\b[^<>]*\sallow\s*+=)"
    rf"(\s*+\\?[\"'`]([\w\s;*-]*+)\\?[\"'`](?!\s*+\+))?"
)
"""The same of a frame that is made of its properties, or written as markup."""
_FULLSCREEN = re.compile(
    rf"\.allowFullscreen\s*+=[^=]|{_QUOTE}allowfullscreen{_QUOTE}(?!\s*+:)"
    rf"|[{{,]\s*+{_QUOTE}?allowfullscreen{_QUOTE}?\s*+:|<iframe\b[^<>]*\sallowfullscreen\b",
    re.IGNORECASE,
)
_USED: Mapping[str, tuple[str, ...]] = {
    "accelerometer": ("Accelerometer", "devicemotion"),
    "camera": ("getUserMedia",),
    "clipboard-read": ("clipboard",),
    "clipboard-write": ("clipboard",),
    "compute-pressure": ("PressureObserver",),
    "display-capture": ("getDisplayMedia",),
    "encrypted-media": ("requestMediaKeySystemAccess",),
    "geolocation": ("geolocation",),
    "gyroscope": ("Gyroscope", "deviceorientation"),
    "hid": (".hid",),
    "idle-detection": ("IdleDetector",),
    "local-fonts": ("queryLocalFonts",),
    "magnetometer": ("Magnetometer",),
    "microphone": ("getUserMedia",),
    "midi": ("requestMIDIAccess",),
    "payment": ("PaymentRequest",),
    "picture-in-picture": ("ictureInPicture",),
    "screen-wake-lock": ("wakeLock",),
    "serial": (".serial",),
    "sync-xhr": ("XMLHttpRequest",),
    "unload": ("unload",),
    "usb": (".usb",),
    "xr-spatial-tracking": (".xr",),
}
"""How code that uses a feature names it."""
_IN_WORKERS = ("compute-pressure", "hid", "idle-detection", "serial", "usb")
"""Features that workers have too."""
_STEP, _OVERLAP = 1 << 18, 1 << 12
"""Characters that are searched at once, and those of the next step that are searched with them."""
_MOST = 200
"""Places in one script that are looked at."""
_CHAIN = r"\s*+\??\.\s*+"
_QUERY = re.compile(
    rf"permissions{_CHAIN}query\s*+(?:\?\.)?\(\s*+(?:\{{\s*+[\"']?name[\"']?\s*+:\s*+[\"']([a-z-]+)[\"'])?"
)
_ALLOWS = re.compile(r"\.allowsFeature\s*+\(\s*+(?:[\"']([a-z-]+)[\"'])?")
_PLAIN = re.compile(
    r"http://(?:[\"']\s*+\+\s*+|\$\{\s*+)(?:\w+\.){0,3}(?:location\.host|hostname)"
    r"|\.protocol\s*+=\s*+[\"'`]http:"
)
_REFRESH = re.compile(r"(?i)\bhttp://[^\s\"']*")
_DEVICES = ("camera", "microphone", "speaker-selection")
_BUTTONS: Mapping[str, tuple[str, ...]] = {
    "geolocation": ("geolocation",),
    "usermedia": ("camera", "microphone"),
}
"""Elements that ask for features when they are clicked; without these they do nothing."""
_MAKES_BUTTON = re.compile(
    rf"(?:createElement\(\s*+{_QUOTE}|<)({'|'.join(_BUTTONS)})(?=[\s/>\"'`])"
)
_MODULE = re.compile(r"type[\"']?\s*+:\s*+[\"'`]module\b")
"""How a script makes a worker a module; with `createObjectURL`, perhaps one of its own text."""
_IMPORT = re.compile(r"\b(?:import|from)\s*+\(?\s*+[\"'](?:https?:)?//([^/\"'?#\\]+)")


def signs(code: str, host: str = "", *, worker: bool = False) -> frozenset[str]:
    """The signs in a script's text; `host` is its own, with a port, and `worker` says that it was
    fetched for a worker.
    """
    return frozenset(scan(code, host, worker=worker)) - {""}


def leads_to_plain(url: str, host: str) -> bool:
    """Whether a link from an https page of this host, with a port, leads to `http:` on another of
    its ports: upgraded, to a port where https may not be served, 443 in place of 80.
    """
    if url[:7].lower() != "http://":
        return False
    target, own = url[7:].partition("/")[0].lower().removesuffix(":"), host.lower()
    name, port = without_port(target), target.removeprefix(without_port(target)).lstrip(":")
    if name != without_port(own):
        return False
    return port not in ("", "80") or own not in (name, f"{name}:443")


def refreshes(content: str) -> str:
    """The `http:` address to which a page leads by a refresh, of a `meta` element or a response's
    header (HTML section 4.2.5.3); "" = none.
    """
    found = _REFRESH.search(content)
    return found[0] if found else ""


def asked_by(element: str) -> list[str]:
    """The signs of an element by its name: it asks for features."""
    return [f"{ASKS}{name}" for name in _BUTTONS.get(element, ())]


def asked_about(found: Iterable[str], features: Iterable[str]) -> list[str]:
    """The features among `features` that code asks about, by its signs."""
    known = frozenset(found)
    return sorted(name for name in features if ANY in known or f"{ASKS}{name}" in known)


def without_name(sign: str) -> str:
    """The sign that says the same of any feature, where this one names a feature by any text."""
    if sign.startswith(ASKS):
        return ANY
    return GIVES if sign.startswith(f"{GIVES} ") else sign


def _holds(pattern: re.Pattern[str], code: str) -> Generator[str, None, bool]:
    """Whether code holds the pattern, in steps; what is longer than `_OVERLAP` may be missed where
    a step ends.
    """
    for at in range(0, len(code), _STEP):
        if pattern.search(code, at, at + _STEP + _OVERLAP):
            return True
        yield ""
    return False


def scan(code: str, host: str, *, worker: bool, shared: bool = False) -> Iterator[str]:
    """`signs` in steps of a few milliseconds, so that the caller can do other work between; a step
    without a sign is "".
    """
    if "addModule" in code and "orklet" in code:
        yield WORKLET
    for pattern, word in ((_QUERY, "permissions"), (_ALLOWS, ".allowsFeature")):
        if word in code:
            for match in islice(pattern.finditer(code), _MOST):
                yield f"{ASKS}{match[1] or '*'}"
    if "allowedFeatures" in code:
        yield ANY
    if ".enumerateDevices(" in code:
        yield from (f"{ASKS}{name}" for name in _DEVICES)
    if "createElement" in code or "<" in code:
        for match in islice(_MAKES_BUTTON.finditer(code), _MOST):
            yield from asked_by(match[1])
    yield ""
    if "sandbox" in code:
        marked = "<iframe" in code and " sandbox" in code
        yield SANDBOX if marked or (yield from _holds(_SANDBOX, code)) else ""
    if any(word in code for word in _ALLOW):
        yield GIVES if (yield from _holds(_GIVES, code)) else ""
    if "ullscreen" in code or "ullScreen" in code:
        yield FULLSCREEN if (yield from _holds(_FULLSCREEN, code)) else ""
    if "iframe" in code and "allow" in code:
        for match in islice(_GIVES_MADE.finditer(code), _MOST):
            if match[1] is None:
                yield GIVES
            else:
                yield from (
                    f"{GIVES} {words[0]}" for one in match[2].split(";") if (words := one.split())
                )
    framed = "iframe" in code or "IFRAME" in code or "srcdoc" in code
    made, makes = "createObjectURL" in code, framed and (yield from _holds(_FRAMES, code))
    yield ""
    if makes or ".document.write(" in code or (made and "text/html" in code):
        yield MAKES
    inside = _USED if makes else _IN_WORKERS if worker or (made and "Worker(" in code) else ()
    for name in inside:
        if any(word in code for word in _USED[name]):
            yield f"{INSIDE}{name}"
    if "contentWindow" in code or "frames[" in code or "frames." in code:
        for name, words in _USED.items():
            if any(word in code for word in words):
                yield f"{REACHES}{name}"
    if "SharedWorker(" in code:
        yield SHARED
    if shared and "importScripts(" in code:
        yield IMPORTS
    yield ""
    own = f"http://{without_port(host.lower())}:"
    if host and "http:" in code and (own in code or (yield from _holds(_PLAIN, code))):
        yield PLAIN
    yield ""
    if worker or (made and (yield from _holds(_MODULE, code))):
        hosts = (match[1].lower() for match in islice(_IMPORT.finditer(code), _MOST))
        if any(one != host.lower() for one in hosts):
            yield IMPORT
