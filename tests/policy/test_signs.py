"""Signs in scripts of what browsers never report."""

from __future__ import annotations

import pytest

from sidecar.policy.browsers.pages import read_page, read_steps
from sidecar.policy.browsers.signs import asked_about, leads_to_plain, scan, signs

_MADE = "new Worker(URL.createObjectURL(new Blob([`import 'https://cdn.test/a.js'`]))"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("new AudioContext().audioWorklet.addModule(url)", {"worklet"}),
        ("const it = c.audioWorklet; await it.addModule(url)", {"worklet"}),
        ("registry.addModule(it)", set()),
        ("navigator.permissions.query({name: 'camera'})", {"asks camera"}),
        ('a.permissions?.query?.({ "name": "geolocation" })', {"asks geolocation"}),
        ("navigator.permissions.query(wanted)", {"asks *"}),
        ("navigator.permissions.query({name: wanted})", {"asks *"}),
        ("document.featurePolicy.allowsFeature('usb')", {"asks usb"}),
        ("document.permissionsPolicy.allowedFeatures()", {"asks *"}),
        ("media.enumerateDevices()", {"asks camera", "asks microphone", "asks speaker-selection"}),
        ("database.query({name: 'camera'})", set()),
        ("import 'https://cdn.test/a.js'", set()),
        (f"{_MADE}, {{type: 'module'}})", {"import"}),
        (f'{_MADE},{{type:"module"}})', {"import"}),
        (f"{_MADE})", set()),
        (
            "document.createElement('iframe'); go(navigator.geolocation)",
            {"makes", "inside geolocation"},
        ),
        ("it.srcdoc = text; open(new PaymentRequest(a))", {"makes", "inside payment"}),
        ("open('').document.write(text)", {"makes"}),
        ("URL.createObjectURL(new Blob([a], {type: 'text/html'}))", {"makes"}),
        ("new Worker(URL.createObjectURL(new Blob(['navigator.usb'])))", {"inside usb"}),
        ("new Worker(URL.createObjectURL(new Blob(['geolocation'])))", set()),
        ("navigator.geolocation", set()),
        ("document.createElement('geolocation')", {"asks geolocation"}),
        ("it.innerHTML = '<usermedia type=camera>'", {"asks camera", "asks microphone"}),
        ("it.contentWindow.navigator.geolocation", {"reaches geolocation"}),
        ("new SharedWorker('/w.js')", {"shared"}),
        ("it.sandbox = 'allow-scripts'", {"sandbox"}),
        ("it.setAttribute('sandbox', '')", {"sandbox"}),
        ("paypal.sandbox == it.sandbox", set()),
        ("it.allow = 'camera'", {"gives"}),
        ("it.setAttribute('allow', 'camera')", {"gives"}),
        ("h('iframe',{src:a,allow:'camera *; midi'})", {"gives camera", "gives midi"}),
        ('it = "<iframe allow=\\"usb\\">"', {"gives usb", "makes"}),
        ("h('iframe',{src:a,allow:`${given}`})", {"gives"}),
        ("h('iframe',{src:a,allow:'camera' + more})", {"gives"}),
        ('jsx("iframe", {"allow": given})', {"gives"}),
        ('it.innerHTML = `<iframe src=${a} allow="${b}">`', {"gives", "makes"}),
        ("it.innerHTML = '<iframe src=/a><p>we allow: all'", {"makes"}),
        ("rules = {allow: 'all'}", set()),
        ("it.allowFullscreen = true", {"gives fullscreen"}),
        ("it.setAttribute('allowFullScreen', '')", {"gives fullscreen"}),
        ("it.toggleAttribute('allowfullscreen')", {"gives fullscreen"}),
        ("it['allowFullscreen'] = true", {"gives fullscreen"}),
        ("h('video-frame', {allowFullScreen: !0})", {"gives fullscreen"}),
        ("switch (name) { case 'allowFullScreen': return", set()),
        ("it.innerHTML = `<iframe src=/a allowfullscreen>`", {"gives fullscreen", "makes"}),
        ('"allowFullScreen async autoFocus".split(" ")', set()),
        ("it.requestFullscreen()", set()),
    ],
)
def test_signs_of_a_script(code: str, found: set[str]):
    """By the names of what it calls."""
    assert signs(code) == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import 'https://cdn.test/a.js'", {"import"}),
        ('import{a}from"//cdn.test/a.js"', {"import"}),
        ("await import('http://cdn.test/a.js')", {"import"}),
        ("import 'https://SHOP.test:8443/a.js'", set()),
        ("import './a.js'; fetch('https://cdn.test/')", set()),
        ("navigator.serial.getPorts()", {"inside serial"}),
    ],
)
def test_signs_of_a_workers_script(code: str, found: set[str]):
    """From other origins than its own; and what it uses there, which is not reported."""
    assert signs(code, "shop.test:8443", worker=True) == found


@pytest.mark.parametrize(
    "begins",
    [
        "from",
        "permissions",
        "permissions.query(",
        "it.sandbox",
        "it.allow",
        "<iframe",
        "<iframe allow",
    ],
)
def test_hostile_code_is_read_in_a_moment(begins: str):
    """No pattern takes more than a step or two for each character."""
    for text in (begins + " " * (1 << 20), f"{begins} " * (1 << 16)):
        assert signs(text, "shop.test", worker=True) <= {"asks *", "makes"}


def test_code_in_a_page_is_read_too_and_text_is_not():
    """Handlers as well as scripts."""
    page = read_page(
        b"<p>permissions.query({name: 'usb'})<a onclick=\"permissions.query({name: 'hid'})\">"
        b"<script>permissions.query({name: 'midi'})</script><geolocation autolocate></geolocation>"
    )
    assert page.signs == ("asks geolocation", "asks hid", "asks midi")


@pytest.mark.parametrize(
    ("html", "found"),
    [
        (b"<a href=http://shop.test:8080/legacy>", ("plain",)),
        (b"<form action=HTTP://shop.test:8080>", ("plain",)),
        (b"<a href=http://shop.test/>", ()),
        (b"<a href=http://shop.test:80/>", ()),
        (b"<a href=http://away.test:8080/>", ()),
        (b"<a href=https://shop.test:8080/>", ()),
        (b"<script>open('http://shop.test:8080/')</script>", ("plain",)),
        (b"<script>open('http://' + location.hostname + ':8080')</script>", ("plain",)),
        (b"<script>open(`http://${window.location.host}/`)</script>", ("plain",)),
        (b"<script>open('http://away.test:8080/')</script>", ()),
        (b"<base href=http://shop.test:8080/><a href=/legacy>", ("plain",)),
        (b"<script>it.protocol = 'http:'</script>", ("plain",)),
        (b"<script>if (it.protocol == 'http:') go()</script>", ()),
        (b"<meta http-equiv=Refresh content='0; URL=http://shop.test:8080/a'>", ("plain",)),
        (b"<meta http-equiv=refresh content='5'>", ()),
        (b"<meta name=refresh content='0; url=http://shop.test:8080/a'>", ()),
    ],
)
def test_links_to_plain_http_on_another_port(html: bytes, found: tuple[str, ...]):
    """An upgrade would take them to https on that port."""
    assert read_page(html, address="https://shop.test/a").signs == found


@pytest.mark.parametrize(
    ("host", "url", "found"),
    [
        ("shop.test:8443", "http://shop.test/a", True),
        ("shop.test:8443", "http://shop.test:80", True),
        ("shop.test:443", "http://shop.test/", False),
        ("SHOP.test", "http://shop.test:/", False),
        ("[::1]:8443", "http://[::1]/", True),
        ("[::1]", "http://[::1]/", False),
        ("[::1]", "http://[::1]:8080/", True),
    ],
)
def test_port_80_becomes_443(host: str, url: str, found: bool):
    """An upgraded address without a port is served where the page itself is, or not."""
    assert leads_to_plain(url, host) is found


def test_which_features_are_asked_about():
    """A sign without a name may mean each of them."""
    assert asked_about({"asks usb", "worklet"}, {"usb", "hid"}) == ["usb"]
    assert asked_about({"asks *"}, {"usb", "hid"}) == ["hid", "usb"]


def test_long_code_of_a_page_is_looked_through_in_several_steps():
    """One step for all of it would hold up requests."""
    short, long = "it.sandbox = ''", "it.sandbox = ''" + " " * 70_000
    steps = [len([*read_steps(f"<script>{code}</script>".encode())]) for code in (short, long)]

    assert steps[1] > steps[0] + 3
    assert read_page(f"<script>{long}</script>".encode()).signs == ("sandbox",)


@pytest.mark.parametrize("before", [0, (1 << 18) - 5, 1 << 18, 1 << 20])
def test_a_bundle_is_searched_in_steps_and_nothing_is_lost_between(before: int):
    """One search through all of it would hold up requests for a fifth of a second."""
    code = " " * before + "it.sandbox = ''" + " " * 70

    assert signs(code) == {"sandbox"}
    assert len([*scan(code, "", worker=False)]) >= before >> 18
