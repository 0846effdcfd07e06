"""Rules that are not enforced yet as report-only headers: what a trial adds, with an address.

`policy.browsers.trial` makes the headers themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from sidecar.exporting.terms import Condition, Field, over_https
from sidecar.policy.browsers.trial import REPORTS_PATH, by_api, has_report_only, report_only
from sidecar.policy.model import Rule
from sidecar.policy.rules.findings import Finding

RULE = "{rule}"
"""In an address: the name of the rule."""


class ReportOnlyLine(NamedTuple):
    """One line that a trial adds."""

    header: str
    act: Literal["default", "append"]
    value: str
    when: Condition


def report_only_lines(
    name: str, rule: Rule, text: str, when: Condition, address: str
) -> Iterator[ReportOnlyLine]:
    """The lines for one rule; none where browsers have no report-only form of what it writes.

    Args:
        name: the rule's, for `address` and for the name of its endpoint.
        rule: complete.
        text: the value that it would write.
        when: where it applies.
        address: where browsers report to, `{rule}` in it is the rule's name.
    """
    if not has_report_only(rule):
        return
    key = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    place = f"{REPORTS_PATH}/{key}"
    reports = address.replace(RULE, name)
    for header in rule.header or ():
        asked = when
        if rule.action in ("default", "merge"):
            asked = tuple((*one, Field("response", header, pattern=False)) for one in when)
        if by_api(rule.model_copy(update={"header": (header,)})):
            asked = over_https(asked)
        found = report_only(_finding(name, header, text), key, "https", {})
        for line, value in found.lines if found else ():
            act: Literal["default", "append"] = "default"
            if line.lower() in (b"content-security-policy-report-only", b"reporting-endpoints"):
                act = "append"
            if asked:
                yield ReportOnlyLine(
                    line.decode(), act, value.decode().replace(place, reports), asked
                )


def _finding(name: str, header: str, text: str) -> Finding:
    """As of a response without the header."""
    raw, after = header.encode(), (text.encode(),)
    rule = (name, 0, header, raw, raw.lower())
    return Finding(*rule, "set", "missing", "trial", (), after, made=False)
