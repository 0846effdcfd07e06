"""Every policy of the folder earns exactly the words beside it, and the JSON Schema agrees where
it can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from sidecar.policy.model import schema
from sidecar.policy.terms import PolicyError
from sidecar.source import MAX_BYTES, load_policy, preset_texts, read_yaml
from tests.golden import POLICIES, outcome

SCHEMA = Draft202012Validator(schema())
ACCEPTED = [
    policy for policy in POLICIES if policy.with_suffix(".txt").read_text("utf-8").startswith("ok:")
]
BEYOND_A_SCHEMA = {
    "aliases-bomb",
    "append-once-only",
    "cookie-rules",
    "deep-nesting",
    "directives",
    "duplicate-keys",
    "empty",
    "header-names",
    "header-values",
    "incomplete-rules",
    "leading-zeros",
    "lost-layers",
    "merge-keys",
    "methods-and-paths",
    "not-utf-8",
    "not-yaml",
    "odd-keys",
    "route-names",
    "tags",
    "two-documents",
    "unknown-alias",
    "unknown-preset",
    "whens",
    "yaml-11-booleans",
    "control-characters",
}
"""What these get wrong is the text itself, a sum of several places, or a letter inside a word."""


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.stem)
def test_each_policy_earns_the_words_beside_it(policy: Path):
    """Place, wrong word and fix of every problem, in the order of the text; or the complete
    policy.
    """
    assert outcome(policy) == policy.with_suffix(".txt").read_text("utf-8")


def test_every_golden_text_has_its_policy():
    """Nothing is left over."""
    folder = POLICIES[0].parent

    assert {path.stem for path in folder.glob("*.txt")} == {policy.stem for policy in POLICIES}
    assert BEYOND_A_SCHEMA | {policy.stem for policy in ACCEPTED} <= {
        policy.stem for policy in POLICIES
    }


def test_problems_stand_in_the_order_of_the_text():
    """A reader goes through the file once."""
    for policy in POLICIES:
        try:
            load_policy(policy.read_bytes(), policy.name)
        except PolicyError as error:
            places = [(problem.line, problem.column) for problem in error.problems]
            assert places == sorted(places), policy.stem
            assert all(
                problem.file == policy.name and problem.severity == "error"
                for problem in error.problems
            )


def test_a_file_of_two_mebibytes_is_refused_unread():
    """The limit is said."""
    with pytest.raises(PolicyError) as caught:
        load_policy(b"version: 1\n" + b"#" * (2 << 20), "big.yaml")

    assert (
        str(caught.value)
        == f"big.yaml: error: the file is 2097163 bytes long; at most {MAX_BYTES} are read"
    )


def test_the_schema_is_a_schema():
    """It is valid against its metaschema, and says which."""
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def data(text: bytes) -> Any:
    """A text as an editor's language server sees it."""
    return yaml.safe_load(text.decode())


@pytest.mark.parametrize("policy", ACCEPTED, ids=lambda policy: policy.stem)
def test_the_schema_accepts_what_is_accepted(policy: Path):
    """No editor marks a policy that the sidecar takes."""
    assert [
        error.message for error in SCHEMA.iter_errors(read_yaml(policy.read_bytes(), "").data)
    ] == []


@pytest.mark.parametrize("name", preset_texts())
def test_presets_are_policies_by_schema_and_by_check(name: str):
    """Each shipped preset stands on its own."""
    text = preset_texts()[name].encode()

    assert load_policy(text, name).policy.reason
    assert [error.message for error in SCHEMA.iter_errors(read_yaml(text, name).data)] == []


@pytest.mark.parametrize(
    "policy",
    [
        policy
        for policy in POLICIES
        if policy not in ACCEPTED and policy.stem not in BEYOND_A_SCHEMA
    ],
    ids=lambda policy: policy.stem,
)
def test_the_schema_refuses_what_a_schema_can(policy: Path):
    """An editor marks unknown words, wrong types and missing keys as they are written."""
    assert list(SCHEMA.iter_errors(read_yaml(policy.read_bytes(), "").data))


def test_every_key_is_documented():
    """Each key of the schema has a description: it is the reference."""
    described = [
        (name, key)
        for name, noun in {"Policy": schema(), **schema()["$defs"]}.items()
        for key, value in noun.get("properties", {}).items()
        if not value.get("description")
    ]

    assert described == []
