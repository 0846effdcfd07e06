"""The verb verify: real proxies with an exported policy, and without it; what is asked, exit
codes, output.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.exporting import export
from sidecar.source import load_policy
from tests.cli import data, sidecar
from tests.exporting.fronts import FRONTS, certificate, standing
from tests.exporting.origin import origin

ROOT = Path(__file__).parent.parent.parent
SMALL = """\
version: 1
name: shop
mode: enforce
rules:
  nosniff: {header: X-Content-Type-Options, action: set, value: nosniff}
  no-server: {header: [Server, X-Powered-By], action: remove}
  csp:
    header: Content-Security-Policy
    action: default
    value: {default-src: ["'self'"], object-src: ["'none'"], frame-ancestors: ["'none'"]}
    when: {content-type: text/html}
"""
POLICIES = {
    "small": SMALL,
    "starter": (
        (ROOT / "config/policy.yaml").read_text().replace("\nmode: report-only", "\nmode: enforce")
    ),
}
PATHS = (
    "/?response=page",
    "/?response=hardened",
    "/docs?response=missing",
    "/api/x?response=data",
    "HEAD /?response=broken",
)


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    with origin() as port:
        yield port


def _verify(url: str, policy: Path, *words: object) -> tuple[int, dict[str, int], str]:
    paths = [word for path in PATHS for word in ("--path", path)]
    result = sidecar("verify", url, "--policy", policy, *paths, "--json", *words)
    found = data(result)
    shown = [
        (row["rule"], row["header"], row["examples"])
        for row in found["rows"]
        if row["verdict"] == "differs"
    ]
    return result.exit_code, found["counts"], f"{shown}"


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("target", ["nginx", "apache", "haproxy", "caddy"])
def test_an_exported_policy_is_verified(target: str, name: str, service: int, tmp_path: Path):
    """Over http and https nothing differs that was not announced; without the policy the same
    proxy is found out.
    """
    if missing := FRONTS[target].missing():
        pytest.skip(missing)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICIES[name])
    text = export(load_policy(policy.read_bytes(), "policy.yaml"), target).text
    pair = certificate(tmp_path)
    for folder in ("with", "without"):
        (tmp_path / folder).mkdir()

    with standing(target, text, service, tmp_path / "with", pair) as site:
        for url in (f"http://127.0.0.1:{site.plain}", f"https://127.0.0.1:{site.tls}/"):
            code, counts, shown = _verify(url, policy, "--target", target, "--insecure")
            assert (code, counts["differs"]) == (0, 0), shown
            assert counts["holds"] >= 3
    with standing(target, "", service, tmp_path / "without", pair) as site:
        code, counts, shown = _verify(f"http://127.0.0.1:{site.plain}", policy, "--target", target)
        assert (code, counts["differs"] > 1) == (1, True), shown


def test_default_paths_reach_each_route(service: int, tmp_path: Path):
    """Without --path an example of every route is asked, and two of the default one: the table
    tells of all.
    """
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICIES["starter"])
    result = sidecar("verify", f"http://127.0.0.1:{service}", "--policy", policy, "--json")

    assert data(result)["responses"] == 4


def test_an_archive_is_asked_again(service: int, tmp_path: Path):
    """GET entries with the page's Origin, and no cookie; a POST is counted and left out."""
    har, policy = tmp_path / "a.har", tmp_path / "policy.yaml"
    policy.write_text(SMALL)

    def entry(method: str) -> object:
        lines = [
            {"name": "Origin", "value": "https://a.example"},
            {"name": "Cookie", "value": "sid=1"},
        ]
        request = {"method": method, "url": "https://shop.example/", "headers": lines}
        return {"request": request, "response": {"status": 200, "headers": []}}

    har.write_text(json.dumps({"log": {"entries": [entry("GET"), entry("GET"), entry("POST")]}}))
    found = data(
        sidecar("verify", f"http://127.0.0.1:{service}", "--policy", policy, "--har", har, "--json")
    )

    assert (found["responses"], found["not_asked"]) == (1, 1)


def test_nothing_to_see_is_no_success(service: int, tmp_path: Path):
    """A policy that enforces nothing is not verified: exit 1, and what to do."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(SMALL.replace("mode: enforce", "mode: report-only"))

    result = sidecar(
        "verify", f"http://127.0.0.1:{service}/", "--policy", policy, "--path", "/?response=page"
    )

    assert result.exit_code == 1
    assert "only what is enforced is compared" in result.stderr


def test_table(service: int, tmp_path: Path):
    """Each rule with its result; of what differs what was expected and what came."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(SMALL)

    result = sidecar(
        "verify", f"http://127.0.0.1:{service}/", "--policy", policy, "--path", "/?response=page"
    )

    assert result.exit_code == 1
    assert "- expected X-Content-Type-Options: nosniff" in result.stdout
    assert "+ got      X-Content-Type-Options: (absent)" in result.stdout
    assert "1 response; rules: differs 4" in result.stderr
