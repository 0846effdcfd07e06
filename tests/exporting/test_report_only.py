"""Rules that are not enforced go along as browsers' report-only headers: the lines that the
sidecar adds in a trial.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.exporting import export
from sidecar.policy.browsers.trial import REPORTS_PATH
from sidecar.policy.engine.plan import compile_policy
from sidecar.source import load_policy
from tests.cli import sidecar
from tests.exporting.asking import ASKS, Client, dumped, expected
from tests.exporting.fronts import FRONTS, certificate, standing
from tests.exporting.origin import RESPONSES, Lines, origin

POLICY = {
    "version": 1,
    "mode": "enforce",
    "rules": {
        "csp": {
            "header": "Content-Security-Policy",
            "action": "default",
            "value": "default-src 'self'; upgrade-insecure-requests",
            "when": {"class": "html"},
            "mode": "trial",
        },
        "coop": {
            "header": "Cross-Origin-Opener-Policy",
            "action": "default",
            "value": "same-origin",
            "mode": "trial",
        },
        "features": {
            "header": "Permissions-Policy",
            "action": "default",
            "value": "camera=(), usb=(self)",
            "mode": "trial",
        },
        "nosniff": {"header": "X-Content-Type-Options", "action": "set", "value": "nosniff"},
    },
    "routes": [{"name": "api", "match": {"path": "/api/**"}, "rules": {"csp": {"mode": "off"}}}],
}
NAMES = (
    "content-security-policy-report-only",
    "cross-origin-opener-policy-report-only",
    "permissions-policy-report-only",
    "reporting-endpoints",
)


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    with origin() as port:
        yield port


def report_only(lines: Lines) -> list[tuple[str, str]]:
    """The report-only lines, without the key that names the rule."""
    unkeyed = re.compile(rf"({REPORTS_PATH})/[\w-]+|(sidecar)-[\w-]+")
    return sorted(
        (name.lower(), unkeyed.sub(lambda found: f"{found[1] or found[2]}/x", value))
        for name, value in lines
        if name.lower() in NAMES
    )


@pytest.mark.parametrize("target", [name for name in FRONTS if name != "traefik"])
def test_the_headers_are_those_of_a_trial(target: str, service: int, tmp_path: Path):
    """The same report-only lines on the same responses, with reports to the address that was
    given.
    """
    if missing := FRONTS[target].missing():
        pytest.skip(missing)
    resolved = load_policy(dumped(POLICY).encode(), "policy.yaml")
    plan = compile_policy(resolved)
    written = export(resolved, target, f"{REPORTS_PATH}/{{rule}}")

    wrong = []
    with (
        standing(target, written.text, service, tmp_path, certificate(tmp_path)) as site,
        closing(Client(site.plain, site.tls)) as client,
    ):
        for one in ASKS:
            theirs = report_only(client.ask(one)[1])
            ours = report_only(expected(plan, one, *RESPONSES[one.response]))
            wrong += (
                [f"{one}: {theirs}, not {ours}"]
                if theirs != ours and one.response != "odd-case"
                else []
            )
    assert not wrong, "\n".join([*wrong[:5], written.text])


@pytest.mark.parametrize("target", [name for name in FRONTS if name != "traefik"])
def test_reports_go_where_they_are_sent(target: str):
    """The address stands as it was given, with the rule's name in it."""
    resolved = load_policy(dumped(POLICY).encode(), "policy.yaml")

    text = export(resolved, target, "https://reports.example/{rule}").text

    assert "https://reports.example/csp" in text
    assert "https://reports.example/coop" in text
    assert REPORTS_PATH not in text


def test_a_target_that_cannot_says_so():
    """They stand beside what the service sends, and Traefik only sets and removes: each of them
    is named as lost.
    """
    resolved = load_policy(dumped(POLICY).encode(), "policy.yaml")

    gaps = export(resolved, "traefik", "https://reports.example/").gaps

    assert {"csp", "coop", "features"} == {gap.rule for gap in gaps if gap.weight == "lost"}


@pytest.mark.parametrize("address", ["reports", "ftp://x/", "/a b", "/a;b", 'https://x/"'])
def test_an_address_that_is_none(address: str, tmp_path: Path):
    """Refused with what to write."""
    file = tmp_path / "policy.yaml"
    file.write_text(dumped(POLICY))

    result = sidecar("export", "--policy", file, "--to", "nginx", "--report-only", address)

    assert result.exit_code == 2
    assert "unknown address" in result.stderr
