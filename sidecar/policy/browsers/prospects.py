"""What a trial of a rule can show, and what it cannot, before it begins."""

from __future__ import annotations

from sidecar.policy.browsers.trial import by_api, has_twin
from sidecar.policy.browsers.witness import witnesses
from sidecar.policy.model import Rule
from sidecar.policy.rules.checks import value_text


def prospect(rule: Rule) -> tuple[str, ...]:
    """What a trial of this complete rule can show, and what it cannot: a sentence each."""
    names = ", ".join(rule.header or ()) or f"cookie {rule.cookie}"
    if not has_twin(rule):
        said = [
            f"{names} has no report-only twin: in trial the rule does what it does in report-only"
        ]
    elif by_api(rule):
        said = [
            (
                f"page loads carry the report-only twin of {names}, and browsers report what would"
                " break"
            ),
            (
                "browsers deliver these reports over https only, and some a minute late: over plain"
                " http nothing is said"
            ),
        ]
    else:
        said = [
            (
                f"page loads carry the report-only twin of {names}, and browsers report what would"
                " break, over plain http too"
            )
        ]
    if "require-trusted-types-for" in (value_text(rule.value) if rule.value else "").lower():
        said.append(
            "a page that makes a default policy of Trusted Types is changed by the trial: browsers"
            " run that policy under a report-only line too; it is reported as a cause"
        )
    for witness in witnesses(rule):
        if witness.kind != "browsers":
            said.append(f"{_BESIDE[witness.kind]}: {witness.why}")
    return tuple(said)


_BESIDE = {
    "harmless": "harmless by nature, no trial is needed",
    "proxy": "the sidecar sees by itself, in trial as in report-only",
    "nobody": "what a trial cannot show",
}
"""What other witnesses than browsers mean for a trial."""
