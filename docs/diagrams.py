"""The diagrams of the documents: the way of a rule, where the sidecar stands, how a pod ends.

`python -m tests.documents --write` writes them. Modes, ports and seconds are those of the code and
of the manifest.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import yaml

from docs.drawing import LINE, Drawing
from sidecar.policy.terms import MODES
from sidecar.policy.values import seconds
from sidecar.settings import Settings

_NATIVE = Path(__file__).parent.parent / "deploy/kubernetes/components/native/sidecar.yaml"
_MEANING = {
    "off": (
        "The response leaves as the service made it.",
        "The rule is not judged: nobody can tell.",
    ),
    "report-only": (
        "It leaves so too; what would change is logged.",
        "The proxy can tell, by what browsers request.",
    ),
    "trial": (
        "A report-only header leaves beside the service's own.",
        "Browsers can tell: they report what would break.",
    ),
    "enforce": (
        "The header leaves as the rule says.",
        "The guard watches the service's errors.",
    ),
}
"""Mode: what leaves for the client, and who can tell whether the rule breaks the site."""
_STEPS = {
    "report-only": ("edit the rule's mode", "edit it back"),
    "trial": ("promote --to trial", "promote --step-back"),
    "enforce": ("promote, on evidence", "promote --step-back"),
}
"""Mode: how a rule comes there from the mode before it, and how it goes back."""
_BACK = (
    ("sidecar rollback", "the previous revision, with the next response"),
    ("sidecar mode report-only", "no rule changes anything; the file stays"),
    ("the guard", "rolls back by itself when errors rise"),
)
"""What leads back from anywhere."""


def rule() -> str:
    """The way of a rule: a box for each mode, the commands between them, and the ways back."""
    about = " ".join(f"{mode}: {' '.join(_MEANING[mode])}" for mode in MODES)
    steps = " ".join(f"To {mode}: {to}; back: {back}." for mode, (to, back) in _STEPS.items())
    left, wide, high, step, top = 40, 116, 50, 94, 14
    middle = {mode: top + number * step + high / 2 for number, mode in enumerate(MODES)}
    bottom = top + len(MODES) * step - step + high
    picture = Drawing(
        560,
        bottom + 84 + len(_BACK) * LINE,
        "The way of a rule: off, report-only, trial, enforce",
        f"{about} {steps} What the proxy can judge goes from report-only to enforce, without trial."
        f" Back from anywhere: {'; '.join(': '.join(each) for each in _BACK)}.",
    )
    for mode, y in middle.items():
        strong = mode == MODES[-1]
        picture.box(left, y - high / 2, wide, high, "good" if strong else "panel")
        picture.text(
            left + wide / 2, y + 5, mode, to="middle", bold=True, ink="paper" if strong else ""
        )
        picture.text(left + wide + 16, y - 5, _MEANING[mode][0])
        picture.text(left + wide + 16, y + LINE - 5, _MEANING[mode][1])
        if mode in _STEPS:
            above = y - step + high / 2
            picture.arrow((left + 42, above), (left + 42, y - high / 2))
            picture.arrow((left + 74, y - high / 2), (left + 74, above), colour="faint")
            for x, sign, command in zip((16, 196), "↓↑", _STEPS[mode], strict=True):
                picture.text(left + wide + x, above + 27, f"{sign} {command}", ink="faint")
    report_only, enforce = middle["report-only"], middle["enforce"]
    picture.arrow((left, report_only), (18, report_only), (18, enforce), (left, enforce))
    picture.text(
        16,
        bottom + 30,
        "The way at the left: what the proxy can judge needs no trial.",
        ink="faint",
    )
    picture.text(16, bottom + 64, "Back from anywhere", bold=True)
    for number, (command, effect) in enumerate(_BACK):
        y = bottom + 66 + (number + 1) * LINE
        picture.text(16, y, command)
        picture.text(214, y, effect)
    return picture.svg()


def place() -> str:
    """Where the sidecar stands, with the ports that it has by default."""
    settings = Settings()
    ports = {
        name: getattr(settings, name).rpartition(":")[2] for name in ("listen", "admin", "health")
    }
    service = str(urlsplit(settings.upstream).port)
    picture = Drawing(
        560,
        366,
        "Where the sidecar stands",
        f"Clients come to the sidecar on port {ports['listen']}; it asks your service on port"
        f" {service} and judges or rewrites the headers of each response. It reads"
        f" {settings.policy}. You use its page and its commands on port {ports['admin']};"
        f" Prometheus and probes ask port {ports['health']}.",
    )
    _box(picture, 190, 14, 180, settings.policy, "which headers you want")
    _box(picture, 14, 142, 110, "clients", "browsers")
    _box(picture, 190, 142, 180, "header-sidecar", "judges each response", "good")
    _box(picture, 436, 142, 110, "your service", "unchanged")
    _box(picture, 90, 290, 180, "you", "page and commands")
    _box(picture, 290, 290, 180, "Prometheus, probes", "/metrics /readyz /livez")
    picture.arrow((280, 74), (280, 142))
    picture.text(290, 112, "read again within two seconds", ink="faint")
    picture.arrow((124, 162), (190, 162))
    picture.arrow((190, 182), (124, 182), colour="faint")
    picture.text(157, 154, ports["listen"], to="middle", bold=True)
    picture.arrow((370, 162), (436, 162))
    picture.arrow((436, 182), (370, 182), colour="faint")
    picture.text(403, 154, service, to="middle", bold=True)
    picture.arrow((230, 290), (230, 202))
    picture.text(222, 250, ports["admin"], to="end", bold=True)
    picture.arrow((330, 290), (330, 202))
    picture.text(338, 250, ports["health"], bold=True)
    return picture.svg()


def _box(
    picture: Drawing, x: int, y: int, width: int, name: str, about: str, colour: str = "panel"
) -> None:
    ink = "paper" if colour == "good" else ""
    picture.box(x, y, width, 60, colour)
    picture.text(x + width / 2, y + 26, name, to="middle", bold=True, ink=ink)
    picture.text(x + width / 2, y + 26 + LINE, about, to="middle", ink=ink)


def stopping() -> str:
    """How a pod ends, second by second: the sidecar above, the service behind it below."""
    spec = yaml.safe_load(_NATIVE.read_text("utf-8"))["spec"]["template"]["spec"]
    said = {one["name"]: one["value"] for one in spec["initContainers"][0]["env"]}
    delay, drain = (
        int(seconds(said[f"SIDECAR_TIMEOUTS__{name}"])) for name in ("DRAIN_DELAY", "DRAIN")
    )
    kill, left, wide = spec["terminationGracePeriodSeconds"], 104, 440
    last = delay + drain
    spans = (
        ("sidecar", 0, delay, "open", "accepts"),
        ("sidecar", delay, last, "panel", "finishes requests"),
        ("service", 0, last, "open", "serves as before"),
        ("service", last, kill, "panel", "gets TERM, ends"),
    )
    what = "; ".join(f"{name}, {begin} to {end}: {does}" for name, begin, end, _, does in spans)
    picture = Drawing(
        560,
        190,
        "How a pod ends",
        f"Seconds since the pod was told to end. {what}. Readiness fails from 0 on, and responses"
        f" say Connection: close. At {kill} whatever still runs is killed.",
    )
    at = {second: left + wide * second / kill for second in (0, delay, last, kill)}
    picture.text(16, 26, "Seconds since the pod was told to end", bold=True)
    for second, x in at.items():
        picture.text(x, 50, str(second), to="middle", ink="faint")
    for row, name in enumerate(("sidecar", "service")):
        picture.text(16, 82 + row * 42, name, bold=True)
    for name, begin, end, colour, does in spans:
        top = 62 + 42 * (name == "service")
        picture.box(at[begin], top, at[end] - at[begin] - 2, 32, colour)
        picture.text(at[begin] + 6, top + 21, does)
    picture.text(
        16,
        160,
        f"From 0 on readiness fails; requests are accepted for {delay} seconds more.",
        f"At {kill} whatever still runs is killed.",
        ink="faint",
    )
    return picture.svg()


def drawn() -> dict[str, str]:
    """Path of each diagram, and the diagram."""
    made = {"rule": rule, "place": place, "stopping": stopping}
    return {f"docs/pictures/{name}.svg": draw() for name, draw in made.items()}
