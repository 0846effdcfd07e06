"""A policy in a ConfigMap: the command that replaces its text, unless somebody edited it."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click

KEY = "policy.yaml"
"""Of the ConfigMap's data, as the chart and the components have it."""


def named(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """An option's value: NAME, or NAMESPACE/NAME."""
    parts = (text or "x").split("/")
    if len(parts) > 2 or not all(parts):
        raise click.BadParameter(f"unknown ConfigMap {text!r}; write NAME or NAMESPACE/NAME")
    return text


def patch(before: str, after: str) -> list[dict[str, Any]]:
    """The edit as a JSON patch (RFC 6902), which fails where the text is not `before` any more."""
    path = f"/data/{KEY}"
    return [
        {"op": "test", "path": path, "value": before},
        {"op": "replace", "path": path, "value": after},
    ]


def command(name: str, edit: list[dict[str, Any]]) -> str:
    """What to run in a shell."""
    namespace, _, own = name.rpartition("/")
    words = ["kubectl", *(["--namespace", namespace] if namespace else []), "patch", "configmap"]
    return shlex.join([*words, own, "--type", "json", "--patch", json.dumps(edit)])
