"""Whatever the policy, the request and the service's response are: a middleware's headers are
the proxy's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.running import Sidecar
from tests.exporting.asking import ASKS, FRAMING, ODD_PATHS, Ask, Client, by_name, dumped
from tests.exporting.origin import Lines, origin
from tests.exporting.policies import POLICIES, PRESETS, WRITTEN, Policy
from tests.in_process.calling import Calling
from tests.portion import examples


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sidecar, Client]]:
    """The real sidecar in front of the same responses."""
    with origin() as port:
        running = Sidecar(
            tmp_path_factory.mktemp("law") / "proxy",
            dumped({"version": 1}),
            f"http://127.0.0.1:{port}",
            settings={"forwarding": {"trusted": ["127.0.0.1/32"]}},
        ).start()
        client = Client(running.listen[1])
        try:
            yield running, client
        finally:
            client.close()
            running.stop()


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def calling(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Calling]:
    """Each middleware, with one host for all examples."""
    folder = tmp_path_factory.mktemp("calling") / request.param
    made = Calling(request.param, folder, dumped({"version": 1}))
    yield made
    made.host.stop()


def named(lines: Lines) -> dict[str, list[object]]:
    """By name, without what frames a message."""
    left = FRAMING - {"server"}
    return {key: values for key, values in by_name(lines).items() if key not in left}


@settings(
    max_examples=examples(15),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    policy=st.one_of(st.sampled_from([*PRESETS.values(), *WRITTEN.values()]), POLICIES),
    asks=st.lists(st.sampled_from([*ASKS, *ODD_PATHS]), min_size=6, max_size=20, unique=True),
)
def test_the_headers_are_the_proxys(
    proxy: tuple[Sidecar, Client], calling: Calling, policy: Policy, asks: list[Ask]
):
    """Route, conditions, every action and cookies: the same lines leave."""
    running, client = proxy
    running.put(dumped(policy))
    calling.put(dumped(policy))

    for one in asks:
        (status, theirs), (other, ours) = client.ask(one), calling.ask(one)
        assert (other, named(ours)) == (status, named(theirs)), str(one)
