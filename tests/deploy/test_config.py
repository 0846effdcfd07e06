"""The example files: the settings file says every setting with its default, every policy can be
put in force.
"""

from typing import Any

from pydantic import BaseModel

from sidecar.runtime.settings_file import layered
from sidecar.settings import Settings
from tests.deploy.files import DEPLOY, ROOT, data, program, run
from tests.e2e.running import command

POLICIES = [ROOT / "config" / "policy.yaml", *sorted(DEPLOY.rglob("policy.yaml"))]


def _names(model: type[BaseModel]) -> dict[str, Any]:
    """Every setting of a model: a mapping for a part, None for a single one."""
    return {
        name: (
            _names(field.annotation)
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
            else None
        )
        for name, field in model.model_fields.items()
    }


def _shape(file: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _shape(value) if value and isinstance(value, dict) else None
        for name, value in file.items()
    }


def test_the_settings_file_says_every_setting_with_its_default():
    """config/sidecar.yaml names all settings, none besides, and reading it gives the defaults."""
    example = data("config/sidecar.yaml")
    assert _shape(example) == _names(Settings)
    assert layered(example, {}, {}) == Settings()


def test_every_policy_passes_the_check():
    """`sidecar check` has nothing against a shipped policy, and each says owner, reason,
    expected result and rollback.
    """
    done = command("check", *map(str, POLICIES))
    assert done.returncode == 0, done.stderr
    assert all(
        data(policy)[key]
        for policy in POLICIES
        for key in ("owner", "reason", "expected", "rollback")
    )


def test_the_starter_policy_changes_nothing_yet():
    """config/policy.yaml is in report-only as shipped: one word makes it enforce."""
    assert data("config/policy.yaml")["mode"] == "report-only"


def test_yamllint_is_content():
    """All YAML that we ship is clean by yamllint's rules; long lines and flow mappings are our
    style.
    """
    rules = (
        "{extends: default, rules: {document-start: disable, line-length: disable, braces:"
        " {max-spaces-inside: 1}, comments: {min-spaces-from-content: 1}, truthy: {allowed-values:"
        " ['true', 'false', 'off']}}, ignore: ['**/templates/*']}"
    )
    run(program("yamllint"), "--strict", "-d", rules, ROOT / "config", DEPLOY)
