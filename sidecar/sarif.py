"""The frame of a SARIF 2.1.0 log: one run of one tool, for code scanning.

Source: SARIF Version 2.1.0 (OASIS),
https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import sidecar

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_HOME = "https://github.com/header-sidecar/header-sidecar"


def result(
    rule: str, level: str, text: str, location: Mapping[str, Any], same: Iterable[str]
) -> dict[str, Any]:
    """A result object (section 3.27). It keeps its fingerprint over runs while `same` is equal."""
    digest = hashlib.sha256("\n".join(same).encode()).hexdigest()[:32]
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"finding/v1": digest},
    }


def place(uri: str, **region: int) -> dict[str, Any]:
    """A location object (section 3.28): the first line of a file or page, or the given region."""
    region = {"startLine": 1, **region}
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


def log(
    rules: Iterable[Mapping[str, Any]],
    results: Iterable[Mapping[str, Any]],
    *,
    notes: Iterable[Mapping[str, Any]] = (),
    successful: bool = True,
) -> dict[str, Any]:
    """A log with one run.

    Args:
        rules: reportingDescriptor objects (section 3.49), each id once.
        results: result objects (section 3.27), each with the `ruleId` of one of the rules.
        notes: notification objects (section 3.58) of the run itself.
        successful: whether the tool could do its work, whatever it found.
    """
    known = list(rules)
    places = {rule["id"]: index for index, rule in enumerate(known)}
    driver = {
        "name": "header-sidecar",
        "semanticVersion": sidecar.__version__,
        "informationUri": _HOME,
        "rules": known,
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [
            {"executionSuccessful": successful, "toolExecutionNotifications": list(notes)}
        ],
        "results": [
            {"ruleId": result["ruleId"], "ruleIndex": places[result["ruleId"]], **result}
            for result in results
        ],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
