"""For every policy, request and response the exported proxy sends the lines that the sidecar
sends, but for what the export announced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.vendor.pretty import RepresentationPrinter

from sidecar.exporting import export
from sidecar.policy.engine.plan import Plan, compile_policy
from sidecar.source import load_policy
from tests.e2e.running import Sidecar
from tests.exporting.asking import (
    ASKS,
    FRAMING,
    ODD_PATHS,
    OWN,
    Ask,
    Client,
    dumped,
    excuse,
    expected,
    unlike,
    without,
)
from tests.exporting.fronts import FRONTS, certificate, standing
from tests.exporting.origin import Lines, origin
from tests.exporting.policies import POLICIES, PRESETS, WRITTEN, Policy
from tests.portion import FULL, by_default

EXAMPLES = int(os.environ.get("EXPORT_EXAMPLES", "8" if FULL else "1"))
"""Random policies for each target."""
BY_DEFAULT = frozenset({"strict-2026-11", "special-characters"})
"""The preset with the most rules, and of what is hard to say one value."""

NAMES = {"caddy": "Caddy"}
"""Targets that send a Server of their own beside the service's; where rules let it stand, it
does.
"""


@dataclass
class Harness:
    """The service, the sidecar before it, and what each target sends without any policy."""

    upstream: int
    sidecar: Sidecar
    client: Client
    tls: tuple[Path, Path]
    folder: Path
    bare: dict[str, dict[Ask, tuple[int, Lines]]] = field(default_factory=dict)
    count: int = 0
    _ours: dict[str, dict[Ask, tuple[int, Lines]]] = field(default_factory=dict)

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:
        """What Hypothesis prints of it beside a failing example: not all that was ever asked."""
        printer.text(type(self).__name__)

    def scratch(self) -> Path:
        self.count += 1
        made = self.folder / str(self.count)
        made.mkdir()
        return made

    def ours(self, policy: str) -> dict[Ask, tuple[int, Lines]]:
        """What the sidecar sends under this policy, asked once for all targets."""
        if policy not in self._ours:
            self.sidecar.put(policy)
            # kept connections may have been idle for longer than the sidecar keeps them
            self.client.close()
            self._ours[policy] = {one: self.client.ask(one) for one in (*ASKS, *ODD_PATHS)}
        return self._ours[policy]

    def own(self, target: str) -> dict[Ask, tuple[int, Lines]]:
        """The error responses that the target makes itself, without a policy."""
        if target not in self.bare:
            with (
                standing(target, "", self.upstream, self.scratch(), self.tls) as site,
                closing(Client(site.plain, site.tls)) as client,
            ):
                self.bare[target] = {one: client.ask(one) for one in OWN}
        return self.bare[target]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """One service and one sidecar for all."""
    folder = tmp_path_factory.mktemp("exporting")
    with origin() as port:
        running = Sidecar(
            folder / "sidecar",
            dumped({"version": 1}),
            f"http://127.0.0.1:{port}",
            settings={"forwarding": {"trusted": ["127.0.0.1/32"]}},
        ).start()
        client = Client(running.listen[1])
        try:
            yield Harness(port, running, client, certificate(folder), folder)
        finally:
            client.close()
            running.stop()


@pytest.fixture(params=FRONTS)
def target(request: pytest.FixtureRequest) -> str:
    """Each target whose program is here."""
    missing = FRONTS[request.param].missing()
    if missing:
        pytest.skip(missing)
    return request.param


def differences(target: str, policy: Policy, harness: Harness) -> list[str]:
    """What the export did not announce."""
    resolved = load_policy(dumped(policy).encode(), "policy.yaml")
    written = export(resolved, target)
    plan, ours_to = compile_policy(resolved), harness.ours(dumped(policy))
    left = without(resolved, written.gaps)
    lost = {gap.header.lower() for gap in written.gaps if gap.weight == "lost"}
    touched = _touched(plan) - (lost & FRAMING)
    found: list[str] = []
    with (
        standing(target, written.text, harness.upstream, harness.scratch(), harness.tls) as site,
        closing(Client(site.plain, site.tls)) as client,
    ):
        for one in (*ASKS, *(odd for odd in ODD_PATHS if _reads_alike(plan, odd))):
            status, theirs = client.ask(one)
            ours_status, ours = ours_to[one]
            assert status == ours_status, (str(one), status, ours_status)
            wrong = dict(unlike(theirs, ours, touched, target))
            if target == "caddy" and one.response == "untyped":
                wrong.pop("content-type", None)
            if "server" in wrong and target in NAMES:
                named = ("Server", NAMES[target])
                bare_status, bare = _service(one)
                theirs_named = expected(plan, one, bare_status, [named, *bare])
                wrong.pop("server")
                wrong |= {
                    name: text
                    for name, text in unlike(theirs, theirs_named, touched, target)
                    if name == "server"
                }
            if wrong:
                # What is lost is lost and no more: then the policy without it says the same.
                bare_status, bare = _service(one)
                allowed = dict(
                    unlike(theirs, expected(left, one, bare_status, bare), touched, target)
                )
                wrong = {name: text for name, text in wrong.items() if name in allowed}
            found += [
                f"{one}: {text}"
                for name, text in wrong.items()
                if not excuse(name, one, resolved, written.gaps)
            ]
        for one, (status, bare) in harness.own(target).items():
            got, theirs = client.ask(one)
            assert got == status, str(one)
            wrong = dict(unlike(theirs, expected(left, one, status, bare), touched, target))
            found += [f"{one}: {text}" for name, text in wrong.items()]
    if found:
        found.append(written.text)
    return found


def tell(found: list[str]) -> str:
    """The first differences, and the configuration, which stands last."""
    return "\n".join([*found[:12], f"... {len(found) - 1} in all", found[-1]])


def _reads_alike(plan: Plan, one: Ask) -> bool:
    """Whether every way to read the path leads to one route, but for a slash at the end: targets
    read it in one way.
    """
    ways = plan.matched(one.host, one.method, one.path).ways
    return (
        len({way.rstrip("/") for way, _ in ways}) == 1
        or len({route.name for _, route in ways}) == 1
    )


def _service(one: Ask) -> tuple[int, Lines]:
    from tests.exporting.origin import RESPONSES

    return RESPONSES[one.response]


def _touched(plan: Plan) -> frozenset[str]:
    return frozenset(
        header.lower()
        for route in plan.routes
        for line in route.rules
        for header in line.named.rule.header or ()
    )


@pytest.mark.parametrize("name", by_default([*PRESETS, *WRITTEN], BY_DEFAULT.__contains__))
def test_presets_say_the_same(name: str, target: str, everything: Harness) -> None:
    """Every shipped preset, and policies written for what is hard to say."""
    found = differences(target, (PRESETS | WRITTEN)[name], everything)
    assert not found, tell(found)


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=(
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ),  # to shrink would start hundreds of proxies
)
@given(policy=POLICIES)
def test_random_policies_say_the_same(target: str, everything: Harness, policy: Policy) -> None:
    """Routes, conditions, repeated rules on one header, cookies: the same lines, or the
    difference was announced.
    """
    found = differences(target, policy, everything)
    assert not found, tell(found)
