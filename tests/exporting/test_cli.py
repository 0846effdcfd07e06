"""The verb `export` on the command line: where the configuration goes, where the gaps go, and
the exit codes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.exporting import TARGETS
from tests.cli import data, sidecar

SET = "nosniff: {header: X-Content-Type-Options, action: set, value: nosniff}"
LOST = "names: {header: Vary, action: merge, value: Origin}"
FOR_SOME = "half: {header: X-A, action: set, value: a, share: 50%}"
NONCE = (
    """csp: {header: Content-Security-Policy, action: set, value: "script-src 'nonce-{request}'"}"""
)
TRIED = "tried: {header: X-B, action: set, value: b, mode: trial}"


@pytest.fixture
def policy(tmp_path: Path):
    """A policy of these rules."""

    def written(*rules: str, mode: str = "enforce") -> Path:
        file = tmp_path / "policy.yaml"
        file.write_text(
            "\n  ".join([f"version: 1\nname: shop\nmode: {mode}\nrules:", *rules]) + "\n"
        )
        return file

    return written


@pytest.mark.parametrize("target", TARGETS)
def test_configuration_on_stdout_and_gaps_on_stderr(policy, target: str):
    """The configuration names the revision; what is not in it stands on stderr with rule, header
    and reason.
    """
    result = sidecar("export", "--policy", policy(SET, LOST), "--to", target)

    revision = data(sidecar("export", "--policy", policy(SET, LOST), "--to", target, "--json"))[
        "revision"
    ]
    assert result.exit_code == 0
    assert "next: " not in result.stderr
    assert revision in result.stdout
    assert (
        "not in this file: names: Vary: it is written where the service sends none" in result.stderr
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("rule", "code"), [(SET, 0), (LOST, 1), (FOR_SOME, 1), (NONCE, 1), (TRIED, 0)]
)
def test_strict(policy, target: str, rule: str, code: int):
    """--strict turns what is enforced and cannot be said into exit code 1; what is not enforced
    is no loss.
    """
    result = sidecar("export", "--policy", policy(rule), "--to", target, "--strict")

    assert result.exit_code == code, result.stderr
    assert rule.partition(":")[0] in result.stderr or rule == SET


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_enforced(policy, target: str):
    """A policy in report-only exports no header at all, and says why."""
    result = sidecar("export", "--policy", policy(SET, mode="report-only"), "--to", target)

    assert (
        "nosniff: X-Content-Type-Options: the rule is in report-only, not enforced" in result.stderr
    )
    assert '"nosniff"' not in result.stdout
    said = "next: sidecar promote RULE; nothing is enforced, so no header is exported\n"
    assert result.stderr.endswith(said)


def test_output_file(policy, tmp_path: Path):
    """--output takes the place of stdout; a folder that is not there is reported, without a
    traceback.
    """
    result = sidecar(
        "export", "--policy", policy(SET), "--to", "nginx", "--output", tmp_path / "x.conf"
    )

    assert (result.exit_code, result.stdout) == (0, "")
    assert "nosniff" in (tmp_path / "x.conf").read_text()
    missing = sidecar(
        "export", "--policy", policy(SET), "--to", "nginx", "--output", tmp_path / "no" / "x"
    )
    assert missing.exit_code == 2
    assert "No such file" in missing.stderr


def test_bad_policy(policy):
    """A policy that cannot be used is refused with its place."""
    result = sidecar(
        "export", "--policy", policy("x: {header: X-A, action: sett}"), "--to", "nginx"
    )

    assert result.exit_code == 1
    assert "policy.yaml:5" in result.stderr
