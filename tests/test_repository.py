"""The files that others read of this repository: workflows, templates, hooks. Their schemas are
vendored by check-jsonschema.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
SCHEMAS = {
    "vendor.github-workflows": [
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
        ".github/workflows/search.yml",
    ],
    "vendor.github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
    "vendor.github-issue-forms": [
        ".github/ISSUE_TEMPLATE/bug.yml",
        ".github/ISSUE_TEMPLATE/idea.yml",
    ],
    "vendor.dependabot": [".github/dependabot.yml"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_follow_their_schema(schema: str):
    """GitHub would take each of these files."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run(
        [*command, *(ROOT / name for name in SCHEMAS[schema])], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout


def test_every_file_of_github_is_checked():
    """A new YAML file in `.github` is named with its schema here."""
    known = {name for names in SCHEMAS.values() for name in names} | {".github/zizmor.yml"}

    assert known == {str(path.relative_to(ROOT)) for path in (ROOT / ".github").rglob("*.yml")}


def test_ci_runs_on_every_python_that_is_promised():
    """The matrix and the classifiers of pyproject.toml name the same Pythons."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    promised = re.findall(
        r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )

    assert workflow["jobs"]["checks"]["strategy"]["matrix"]["python"] == promised


def test_the_release_finds_the_version():
    """What the release compares the tag with is the version of the package."""
    from sidecar import __version__

    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    step = workflow["jobs"]["build"]["steps"][2]["run"]

    for tag, code in ((f"v{__version__}", 0), ("v0.0.0", 1)):
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", step], cwd=ROOT, env={"GITHUB_REF_NAME": tag}
        )
        assert done.returncode == code
