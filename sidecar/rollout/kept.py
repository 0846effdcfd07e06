"""The evidence as it is kept over a restart: sealed by its hash, with what it is of.

What was seen through other settings, or counted by another version, is no evidence of what this
process sees.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import sidecar
from sidecar.revisions.store import Store
from sidecar.rollout.evidence import EvidenceStore
from sidecar.settings import Settings
from sidecar.telemetry import Telemetry

OTHER_VERSION = "another version of the sidecar counted it"
OTHER_SETTINGS = "a setting that decides what is seen is another now (upstream, forwarding, tls)"
DAMAGED = "the file was edited, or damaged"


class KeptEvidence:
    """The evidence of one process on its disk."""

    def __init__(
        self, evidence: EvidenceStore, store: Store, telemetry: Telemetry, settings: Settings
    ) -> None:
        self._evidence = evidence
        self._store = store
        self._telemetry = telemetry
        self._now = circumstances(settings)
        self.due = False
        """The first report of its kind on a rule has come: a crash must not lose it, as the page
        loads that it speaks of may be kept already.
        """

    async def take(self) -> None:
        """Go on from what was kept; why that is not done is logged."""
        found, anew = opened(await asyncio.to_thread(self._store.evidence), self._now)
        self._evidence.restore(found)
        if anew:
            self._telemetry.emit("evidence.anew", level="warning", detail=anew)

    async def keep(self) -> None:
        """Keep what there is now; a disk that refuses is logged."""
        self.due = False
        rules = self._evidence.saved()
        try:
            await asyncio.to_thread(lambda: self._store.save_evidence(sealed(rules, self._now)))
        except OSError as error:
            self._telemetry.emit("state.failed", level="error", detail=str(error))


def circumstances(settings: Settings) -> dict[str, str]:
    """The version, and a hash of the settings that decide which service is seen, and how: who may
    say what the client's address and scheme are, and which Host the service gets.
    """
    forwarding = settings.forwarding
    seen = [
        settings.upstream,
        sorted(map(str, forwarding.trusted)),
        forwarding.proxy_protocol,
        forwarding.host,
        settings.tls.certificate is not None,
    ]
    return {"version": sidecar.__version__, "settings": _hash(seen)}


def sealed(rules: Mapping[str, Any], now: Mapping[str, str]) -> dict[str, Any]:
    """What `EvidenceStore.saved` gave, as it is written down; `now` are the circumstances."""
    return {"of": dict(now), "rules": rules, "sha256": _hash([now, rules])}


def opened(kept: object, now: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]], str]:
    """What `sealed` gave, by route and rule, and why nothing that was counted in it counts now; ""
    where it does.

    What browsers were promised (`sent`) holds in any case, so that it is always given.
    """
    if kept is None:
        return {}, ""
    data = kept if isinstance(kept, dict) else {}
    of, rules = data.get("of"), data.get("rules")
    if not isinstance(of, dict) or not isinstance(rules, dict):
        return {}, OTHER_VERSION if data else DAMAGED
    promised = {
        place: {"sent": found}
        for place, rule in rules.items()
        if isinstance(rule, dict) and (found := _sent(rule.get("sent")))
    }
    if data.get("sha256") != _hash([of, rules]):
        return promised, DAMAGED
    if of.get("version") != now["version"]:
        return promised, OTHER_VERSION
    return (promised, OTHER_SETTINGS) if of != now else (rules, "")


def _sent(said: object) -> dict[str, float]:
    """Ages and when each was sent last, as far as they are that."""
    return {
        age: last
        for age, last in (said.items() if isinstance(said, dict) else ())
        if age.isdecimal() and type(last) in (int, float) and math.isfinite(last)
    }


def _hash(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
