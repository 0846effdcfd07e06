"""What browsers keep of a ladder: each age of Strict-Transport-Security sent, and when last.

A browser keeps the latest that it got, and may never come again: what was sent at a higher step
counts until its age has passed.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.policy.engine.plan import Plan
from sidecar.telemetry import Metrics


class SentAges:
    """The ages that responses carried, by rule and route; read from the counters, once a second."""

    def __init__(self) -> None:
        self._sent: dict[str, dict[int, float]] = {}
        self._counted: dict[str, float] = {}

    def note(self, plan: Plan, metrics: Metrics, now: float) -> None:
        """Take down what has been sent since the last call, all of it under this plan."""
        for route in plan.routes:
            for line in route.rules:
                rule, place = line.named.rule, f"{route.name}/{line.name}"
                if rule.ladder is None or line.mode != "enforce":
                    continue
                counted = metrics.read(metrics.rule(route.name, line.name).evaluated)
                if counted > self._counted.get(place, 0.0):
                    age = rule.ladder[(rule.step or 1) - 1]
                    self._sent.setdefault(place, {})[age] = now
                self._counted[place] = counted

    def kept(self, route: str, rule: str) -> tuple[int, float]:
        """The age (seconds) that browsers keep longest, and its end (epoch seconds); (0, 0.0) =
        none.
        """
        ends = {age: last + age for age, last in self._sent.get(f"{route}/{rule}", {}).items()}
        return max(ends.items(), key=lambda item: item[1], default=(0, 0.0))

    def saved(self, route: str, rule: str) -> dict[str, float]:
        """As data, for JSON."""
        return {str(age): last for age, last in self._sent.get(f"{route}/{rule}", {}).items()}

    def restore(self, place: str, saved: Mapping[str, float]) -> None:
        """Take what `saved` returned; `place` is ROUTE/RULE."""
        self._sent[place] = {int(age): float(last) for age, last in saved.items()}
