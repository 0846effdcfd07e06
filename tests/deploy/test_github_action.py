"""The steps of the GitHub action and the pre-commit hooks, run in a scratch repository as GitHub
and pre-commit run them.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.portion import by_default, full

ROOT = Path(__file__).parent.parent.parent
ACTION = yaml.safe_load((ROOT / "deploy/github-action/action.yml").read_text())
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
POLICY = """\
version: 1
name: shop
owner: web@example.com
mode: report-only
rules:
  nosniff: {header: X-Content-Type-Options, action: set, value: nosniff}
"""
TESTS = """\
version: 1
policy: policy.yaml
cases:
  - name: every page has nosniff
    mode: enforce
    expect: {headers: {X-Content-Type-Options: nosniff}}
"""


@dataclass
class Job:
    """A checkout with one commit, and what the action's steps left."""

    checkout: Path
    temporary: Path
    failed: list[str] = field(default_factory=list)
    log: str = ""

    def git(self, *words: str) -> str:
        """Run git in the checkout."""
        name = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        return subprocess.run(
            ["git", *name, *words], cwd=self.checkout, check=True, capture_output=True, text=True
        ).stdout.strip()

    def run(self, **given: str) -> None:
        """Run the steps with these inputs, and go on after a failed one."""
        inputs = {name: str(about["default"]) for name, about in ACTION["inputs"].items()}
        inputs |= {"base": ""} | given
        for step in ACTION["runs"]["steps"]:
            if "uses" in step or step["name"].startswith("Install"):
                continue
            if step.get("if") == "inputs.base != ''" and not inputs["base"]:
                continue
            env = {
                name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: inputs[found[1]], text)
                for name, text in step["env"].items()
            }
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.checkout,
                env=env
                | {"PATH": "/usr/bin:/bin", "RUNNER_TEMP": str(self.temporary)}
                | {
                    name: str(self.temporary / name)
                    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
                },
                capture_output=True,
                text=True,
            )
            self.log += done.stdout + done.stderr
            if done.returncode:
                self.failed.append(step["name"])

    @property
    def comment(self) -> str:
        """What a comment on a pull request would say."""
        outputs = dict(
            line.split("=", 1)
            for line in (self.temporary / "GITHUB_OUTPUT").read_text().splitlines()
        )
        return Path(outputs["comment"]).read_text("utf-8")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A repository with a policy and its tests in one commit; the sidecar as the first step
    would install it.
    """
    job = Job(tmp_path / "checkout", tmp_path / "temporary")
    programs = job.temporary / "header-sidecar" / "bin"
    programs.mkdir(parents=True)
    (programs / "sidecar").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sidecar "$@"\n')
    (programs / "sidecar").chmod(0o755)
    job.checkout.mkdir()
    (job.checkout / "policy.yaml").write_text(POLICY)
    (job.checkout / "shop.test.yaml").write_text(TESTS)
    job.git("init", "-q")
    job.git("add", ".")
    job.git("commit", "-qm", "first")
    return job


def test_a_broken_policy_fails_at_its_line(job: Job) -> None:
    """The check fails with an annotation, and the tests fail too."""
    (job.checkout / "policy.yaml").write_text(POLICY.replace("report-only", "enforced"))
    job.run()

    assert job.failed == ["Check the policy", "Run the policy's tests"]
    assert "::error file=policy.yaml,line=4," in job.log


@full
def test_strict_takes_warnings_for_errors(job: Job) -> None:
    """A warning passes by default and fails when the job asks for strictness."""
    (job.checkout / "policy.yaml").write_text(POLICY.replace("report-only", "enforce"))
    job.run()
    job.run(strict="true")

    assert job.failed == ["Check the policy"]
    assert "::warning file=policy.yaml" in job.log


def test_a_pull_request_learns_what_changes(job: Job) -> None:
    """The comment names the rule that is weaker or stronger, and the summary holds the same; no
    step fails, the tests ran, and the findings are SARIF.
    """
    base = job.git("rev-parse", "HEAD")
    (job.checkout / "policy.yaml").write_text(POLICY.replace("report-only", "enforce"))
    job.run(base=base)

    assert job.failed == []
    assert "1 case: 1 passed, 0 failed" in job.log
    sarif = json.loads((job.temporary / "header-sidecar.sarif").read_text())
    assert sarif["version"] == "2.1.0"
    assert "Enforces more: `nosniff`" in job.comment
    assert (job.temporary / "GITHUB_STEP_SUMMARY").read_text("utf-8") == job.comment


@full
def test_a_policy_below_the_root_is_compared(job: Job) -> None:
    """The policy's path counts from the root of the checkout."""
    (job.checkout / "deploy").mkdir()
    (job.checkout / "deploy" / "policy.yaml").write_text(POLICY)
    job.git("add", ".")
    job.git("commit", "-qm", "second")
    job.run(base=job.git("rev-parse", "HEAD"), policy="deploy/policy.yaml")

    assert job.failed == []
    assert "both policies mean the same" in job.comment
    assert "There is no *.test.yaml" in job.log


@pytest.mark.parametrize(
    ("before", "says"),
    [(None, "policy.yaml is new"), ("mode: [", "cannot be read")],
    ids=["new", "broken before"],
)
@full
def test_a_base_without_a_policy_fails_nothing(job: Job, before: str | None, says: str) -> None:
    """A pull request that brings or repairs the policy passes."""
    if before is None:
        job.git("rm", "-q", "policy.yaml")
    else:
        (job.checkout / "policy.yaml").write_text(before)
    job.git("commit", "-qam", "before")
    base = job.git("rev-parse", "HEAD")
    (job.checkout / "policy.yaml").write_text(POLICY)
    job.run(base=base)

    assert job.failed == []
    assert says in job.comment


def test_the_action_follows_its_schema() -> None:
    """GitHub would take it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    done = subprocess.run(
        [*command, "vendor.github-actions", ROOT / "deploy/github-action/action.yml"],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("text", "code"),
    by_default(
        [(POLICY, 0), (POLICY.replace("action: set", "action: sett"), 1)], lambda case: case[1]
    ),
)
def test_the_hooks_check_and_test(tmp_path: Path, text: str, code: int) -> None:
    """Each hook takes policy.yaml, passes for a good policy and fails for a wrong word."""
    (tmp_path / "policy.yaml").write_text(text)
    (tmp_path / "shop.test.yaml").write_text(TESTS)
    for hook in HOOKS.values():
        assert re.search(hook["files"], "policy.yaml")
        files = ["policy.yaml"] if hook.get("pass_filenames", True) else []
        words = [sys.executable, "-m", *hook["entry"].split(), *files]

        assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode == code, hook


def test_a_tag_in_the_document_is_the_version() -> None:
    """What docs/ci.md tells users to name is the version of this checkout."""
    from sidecar import __version__

    text = (ROOT / "docs" / "ci.md").read_text("utf-8")

    assert set(re.findall(r"v\d+\.\d+\.\d+", text)) == {f"v{__version__}"}
