"""The frame of a SARIF 2.1.0 log: one run of one tool, for code scanning.

Source: SARIF Version 2.1.0 (OASIS),
https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sidecar

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_HOME = "https://github.com/header-sidecar/header-sidecar"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result (section 3.27), and what is said of its rule."""

    rule: str
    """The id of the rule."""
    about: Mapping[str, Any]
    """The rule's reportingDescriptor (section 3.49) without its id; equal for equal ids."""
    level: str
    text: str
    location: Mapping[str, Any]
    same: Iterable[str]
    """The finding keeps its fingerprint over runs while these are equal."""
    properties: Mapping[str, Any] = field(default_factory=dict)

    def result(self, index: int) -> dict[str, Any]:
        """The result object; `index` is the rule's place among all."""
        digest = hashlib.sha256(
            "\n".join(self.same).encode("utf-8", "surrogateescape")
        ).hexdigest()[:32]
        made = {
            "ruleId": self.rule,
            "ruleIndex": index,
            "level": self.level,
            "message": {"text": self.text},
            "locations": [self.location],
            "partialFingerprints": {"finding/v1": digest},
        }
        return made | ({"properties": self.properties} if self.properties else {})


def place(uri: str, **region: int) -> dict[str, Any]:
    """A location object (section 3.28): the first line of a file or page, or the given region."""
    region = {"startLine": 1, **region}
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


def log(
    findings: Iterable[Finding],
    *,
    notes: Iterable[tuple[str, str]] = (),
    successful: bool = True,
) -> dict[str, Any]:
    """A log with one run.

    Args:
        findings: in the order of the log.
        notes: of the run itself (section 3.58), each with its level.
        successful: whether the tool could do its work, whatever it found.
    """
    found = tuple(findings)
    rules = {one.rule: {"id": one.rule, **one.about} for one in found}
    places = {rule: index for index, rule in enumerate(rules)}
    driver = {
        "name": "header-sidecar",
        "semanticVersion": sidecar.__version__,
        "informationUri": _HOME,
        "rules": list(rules.values()),
    }
    said = [{"level": level, "message": {"text": text}} for level, text in notes]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": successful, "toolExecutionNotifications": said}],
        "results": [one.result(places[one.rule]) for one in found],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
