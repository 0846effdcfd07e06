"""What each witness that a rule needs has said, and how far its silence is proof."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from sidecar.policy.browsers.support import partly
from sidecar.policy.browsers.witness import OVERRIDE, WAIT
from sidecar.policy.words import number
from sidecar.rollout.model import Evidence, Minimums, Reasons, step_of
from sidecar.telemetry.metric_table import ENGINES
from sidecar.telemetry.rule_counters import EXAMPLES

_SILENT = 0.1
"""The share of browsers' requests that may say too little, and the others speak for them."""


def check_witnesses(
    live: Sequence[Evidence], minimums: Minimums, reasons: Reasons, *, silent: bool
) -> tuple[float, float | None]:
    """Write down what the witnesses of a rule said.

    Args:
        live: what decides on the rule, of at least one route.
        minimums: what is asked for.
        reasons: where the reasons go.
        silent: no browser reported anything that stands against the rule.

    Returns: How many page loads or requests could be judged, and the share of page loads that is
        broken at most, at 95 % confidence; None where browsers did not prove one.
    """
    evaluated = sum(item.evaluated for item in live)
    witnesses = _by_kind(live)
    # Of a cookie requests tell, also where no response set it meanwhile.
    if not (any(item.affected for item in live) or climbs(live) or total(live, "open")):
        carried = total(live, "carried")
        if carried and not total(live, "set"):
            reasons.lack("cookie-unset", carried=carried)
        # A probe gets one response of the service again and again.
        if "proxy" in witnesses and not total(live, "unknown"):
            known = _known(live) + total(live, "data")
            reasons.at_least(known, minimums.requests, "unchanged-browsers", all=evaluated)
            return known, None
        reasons.at_least(evaluated, minimums.requests, "unchanged")
        return evaluated, None
    if not set(witnesses) - {"harmless"}:
        reasons.at_least(evaluated, minimums.requests, "judged")
        if "harmless" in witnesses:
            reasons.meet("harmless", why=witnesses["harmless"]["why"])
        return evaluated, None
    observed: list[float] = []
    bound = None
    if "nobody" in witnesses:
        nobody = witnesses["nobody"]
        reasons.lack("nobody", step=nobody["next"], why=nobody["why"])
        observed.append(0.0)
    if "browsers" in witnesses or ("proxy" in witnesses and _in_trial(live) > _known(live)):
        witness = witnesses.get("browsers", witnesses.get("proxy", {}))
        known, settled = _browsers(live, witness, minimums, reasons)
        bound = _proof(live, settled, reasons, silent=silent)
        observed.append(known)
        if "browsers" in witnesses and "proxy" in witnesses:  # of two headers in one rule
            observed.append(_requests(live, witnesses["proxy"], minimums, reasons))
    elif climbs(live):
        observed.append(_over_https(live, minimums, reasons))
    elif "proxy" in witnesses:
        observed.append(_requests(live, witnesses["proxy"], minimums, reasons))
    return min(observed), bound


def _by_kind(live: Iterable[Evidence]) -> dict[str, Mapping[str, str]]:
    """The witnesses by kind; several of one kind are one, which says what each of them says, and
    whose next step is the first that is more than to wait.
    """
    found: dict[str, Mapping[str, str]] = {}
    for one in dict.fromkeys(tuple(sorted(it.items())) for item in live for it in item.witnesses):
        witness = dict(one)
        if (held := found.get(witness["kind"])) is not None:
            step = witness["next"] if held["next"] in ("", WAIT, OVERRIDE) else held["next"]
            why = f"{held['why']}; {witness['why']}"
            witness = {**held, "why": why, "next": step}
        found[witness["kind"]] = witness
    return found


def climbs(live: Iterable[Evidence]) -> bool:
    """Whether the rule stands on a ladder."""
    return any(item.climb is not None for item in live)


def total(live: Iterable[Evidence], outcome: str) -> float:
    """How many requests, or page loads in trial, had this outcome."""
    return sum(item.outcomes.get(outcome, 0.0) for item in live)


def canaries(live: Iterable[Evidence]) -> dict[str, tuple[float, float]]:
    """Canaries by engine: they are of the whole process, so each route says the same and the
    highest counts.
    """
    found: dict[str, tuple[float, float]] = {}
    for item in live:
        for engine, (sent, returned) in item.trial.canaries.items():
            if sent > found.get(engine, (0.0, 0.0))[0] or engine not in found:
                found[engine] = (sent, returned)
    return found


def examples(live: Iterable[Evidence], outcome: str) -> str:
    """Some of the requests that had this outcome, in brackets; "" where none is known."""
    found = dict.fromkeys(text for item in live for text in item.examples.get(outcome, ()))
    return f" ({', '.join(list(found)[:EXAMPLES])})" if found else ""


def _known(live: Sequence[Evidence]) -> float:
    """Requests that say whether they would have broken."""
    return total(live, "safe") + total(live, "break")


def _in_trial(live: Iterable[Evidence]) -> float:
    """Page loads that carried a report-only header and whose reports have had time to come."""
    return sum(item.trial.settled for item in live)


def _requests(
    live: Sequence[Evidence], witness: Mapping[str, str], minimums: Minimums, reasons: Reasons
) -> float:
    """What requests say of themselves."""
    known, unknown, left = _known(live), total(live, "unknown"), total(live, "open")
    data = total(live, "data")
    if data and not (known or unknown or left):
        reasons.at_least(data, minimums.requests, "data")
        return data
    if left:
        step = witness["next"] if witness["next"] not in ("", WAIT) else OVERRIDE
        which = examples(live, "open")
        reasons.lack("may-break", step=step, left=left, which=which, why=witness["why"])
    if unknown > (known + unknown) * _SILENT:
        reasons.lack("requests-silent", unknown=unknown, all=unknown + known)
    elif unknown:
        reasons.note("requests-unknown", unknown=unknown)
    reasons.at_least(known, minimums.requests, "requests")
    return known


def _over_https(live: Sequence[Evidence], minimums: Minimums, reasons: Reasons) -> float:
    """How many requests of browsers came over https, of those whose scheme is vouched for."""
    safe, unknown = total(live, "safe"), total(live, "unknown")
    known = safe + total(live, "plain")
    step = step_of("schemes-unknown") if unknown else ""
    reasons.at_least(known, minimums.requests, "schemes", step=step)
    if unknown > known:
        reasons.lack("schemes-unknown", unknown=unknown, all=unknown + known)
    if known:
        share = f"{math.floor(safe / known * 10_000) / 100:.4g}"
        say = reasons.fail if safe < known * minimums.https else reasons.meet
        say("https", share=share, wanted=f"{minimums.https * 100:.4g}")
    return known


def _browsers(
    live: Sequence[Evidence], witness: Mapping[str, str], minimums: Minimums, reasons: Reasons
) -> tuple[float, float]:
    """What a trial has shown: page loads that could have reported or had nothing to report, and
    the former alone.
    """
    trial = [item for item in live if item.mode == "trial"]
    outside = [item.route for item in live if item.mode != "trial" and item.affected]
    if outside:
        place = f" on route {', '.join(outside)}" if trial else ""
        reasons.lack("no-trial", place=place, rule=live[0].rule)
    if not trial:
        return 0.0, 0.0
    data = total(trial, "data")
    if data and not any(item.trial.loads for item in trial) and not _loaded(trial):
        reasons.at_least(data, minimums.requests, "data")
        return data, 0.0
    # Where requests speak too, their outcomes are of requests, not of page loads in trial.
    asked = [item for item in trial if all(one["kind"] != "proxy" for one in item.witnesses)]
    same, unknown, waiting = (total(asked, outcome) for outcome in ("safe", "unknown", "waiting"))
    loads, settled = sum(item.trial.loads for item in trial), _proven(trial, reasons)
    if loads and not _in_trial(trial):
        same = 0.0  # those that would change may all break: their reports are on their way
    known = settled + same
    late, mute = loads > _in_trial(trial), unknown > known
    wait = step_of("loads-late" if late else "loads-silent" if mute else "loads")
    right = f" ({number(same)} of them right already)" if same else ""
    _in_part(trial, reasons)
    reasons.at_least(known, minimums.requests, "loads", step=wait, right=right)
    if mute:
        reasons.lack("loads-silent", unknown=unknown, all=unknown + known)
    elif unknown:
        reasons.note("loads-unknown", unknown=unknown)
    if waiting:
        reasons.lack("loads-waiting", waiting=waiting)
    return known, settled


def _loaded(trial: Sequence[Evidence]) -> bool:
    """Whether any response under the rule was a page, or a worker's script."""
    said = ("safe", "unknown", "waiting", "upgraded", "granted", "partial", "worker", "script")
    return any(total(trial, outcome) for outcome in said)


def _percent(share: float) -> str:
    return f"{share * 100:.2g}%" if share < 0.995 else "100%"


def _in_part(trial: Sequence[Evidence], reasons: Reasons) -> None:
    """What is not silence but not knowing: engines that report a part, service workers that stay
    as they came.
    """
    if partial := total(trial, "partial"):
        parts = "; ".join(f"{engine} not {what}" for engine in ENGINES if (what := partly(engine)))
        reasons.note("loads-partial", partial=partial, known=parts)
    if upgraded := total(trial, "upgraded"):
        reasons.lack("upgraded", loads=upgraded)
    if granted := total(trial, "granted"):
        reasons.lack("granted", loads=granted)
    if workers := total(trial, "worker"):
        reasons.lack("workers", scripts=workers)


def _proven(trial: Sequence[Evidence], reasons: Reasons) -> float:
    """Settled page loads in engines of which at least half of the canaries came back; the
    silence of others is no proof.
    """
    settled, sent = _in_trial(trial), canaries(trial)
    loads = {
        engine: max((item.trial.engines.get(engine, 0.0) for item in trial), default=0.0)
        for engine in sent
    }
    mute = [engine for engine, (out, back) in sorted(sent.items()) if out and back < out * 0.5]
    share = sum(loads[engine] for engine in mute) / max(1.0, sum(loads.values()))
    if not mute or len(mute) == sum(out > 0 for out, _ in sent.values()):
        return settled  # all of them: what is said of the canaries says it
    named = ", ".join(
        f"{engine} {number(sent[engine][1])} of {number(sent[engine][0])}" for engine in mute
    )
    say = reasons.lack if share > 0.5 else reasons.note
    say("mute", named=named, share=_percent(share))
    return math.floor(settled * (1.0 - share))


def _proof(
    live: Sequence[Evidence], settled: float, reasons: Reasons, *, silent: bool
) -> float | None:
    """Silence counts only as far as canaries came back: the rule of three on the page loads that
    would have been reported.

    It holds for no report at all (Hanley and Lippman-Hand 1983), so a cause that stands against the
    rule leaves no bound.
    """
    trial = [item for item in live if item.mode == "trial"]
    # Those of the last page loads are back before they count as sent.
    engines = {name: (max(pair), pair[1]) for name, pair in canaries(trial).items()}
    sent, returned = (sum(pair[place] for pair in engines.values()) for place in (0, 1))
    if not _in_trial(trial):
        return None
    if not returned:
        reasons.lack("no-proof", sent=sent)
        return None
    each = ", ".join(
        f"{engine} {number(back)} of {number(out)}"
        for engine, (out, back) in sorted(engines.items())
        if out
    )
    proven = [(out, back) for out, back in engines.values() if back >= out * 0.5]
    out, back = (sum(pair[place] for pair in proven) for place in (0, 1))
    rate = min(1.0, back / max(out, back)) if proven and back else returned / max(sent, returned)
    bound = min(1.0, 3.0 / (settled * rate)) if silent and settled and rate >= 0.5 else None
    most = ""
    if bound is not None:
        most = f": at most {_percent(bound)} of page loads that report would break (95 %)"
    say = reasons.meet if rate >= 0.5 else reasons.lack
    say("proof", returned=returned, sent=sent, each=each, bound=most)
    return bound
