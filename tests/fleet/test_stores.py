"""Stores as they are run: behind sentinels, over TLS, with a user who may do what is needed and
no more.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.fleet.redis_store import client
from sidecar.fleet.sharing import needed
from sidecar.policy.terms import PolicyError
from sidecar.runtime.settings_file import layered
from tests.certificates import certificate
from tests.e2e.processes import free_port, until
from tests.fleet.conftest import Join, all_have, connected, fleet, marked
from tests.fleet.server import SentinelServer, Server, speaks_tls

MAY = (
    "on >s3cret/word ~sidecar:{shop}:* &sidecar:{shop}:* +@read +@write +@pubsub +@transaction"
    " +@connection +@scripting +time -@dangerous"
)
"""What the documents give the user of a store."""


@pytest.fixture
def second(store: Server, tmp_path: Path) -> Iterator[Server]:
    """A replica of the store."""
    made = Server(tmp_path / "second", "--replicaof", "127.0.0.1", str(store.port))
    yield made
    made.close()


@pytest.fixture
def sentinel(store: Server, second: Server, tmp_path: Path) -> Iterator[SentinelServer]:
    """What watches both."""
    assert second
    made = SentinelServer(tmp_path / "sentinel", store)
    yield made
    made.close()


def test_sentinels_lead_to_the_next_master(
    join: Join, store: Server, second: Server, sentinel: SentinelServer
):
    """The master is killed: the replicas go on with the one that follows it, with what was
    decided; a sentinel that is gone costs nothing.
    """
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/shop"
    a, b = (join(name, fleet={"url": url, "name": "shop"}) for name in "ab")
    a.write(marked("two"))
    all_have("two", a, b)
    until(lambda: second.client.hget(store.key("decision"), "version") == "2", "it is copied")

    store.kill()
    assert a.event("store.lost") and b.event("store.lost")
    until(lambda: second.client.role()[0] == "master", "the other is the master")
    connected(1, a, b)
    done = b.verb("rollback", "--fleet", "--reason", "after the failover")
    assert done.returncode == 0, done.stderr
    all_have("one", a, b)
    assert second.client.hget(store.key("decision"), "version") == "3"
    assert fleet(a)["version"] == 3


def test_a_user_of_the_store_may_do_what_is_needed(join: Join, store: Server):
    """As a user with the documented rights; without them the store cannot be used, and the
    trouble says so.
    """
    store.client.execute_command("ACL", "SETUSER", "sidecar", *MAY.split())
    store.client.execute_command("ACL", "SETUSER", "other", "on", ">x", "~*", "+ping")
    address = f"127.0.0.1:{store.port}/0"
    url = f"redis://sidecar:s3cret%2Fword@{address}"
    a = join("a", fleet={"url": url, "name": "shop"})
    other = join("other", fleet={"url": f"redis://other:x@{address}", "name": "shop"})

    assert fleet(a)["connected"]
    assert a.verb("evidence", "--fleet").returncode == 0
    done = a.verb("mode", "report-only", "--fleet")
    assert (done.returncode, "1 of 1" in done.stderr) == (0, True), done.stderr
    assert not fleet(other)["connected"]
    assert "permission" in fleet(other)["trouble"].lower()
    assert a.verb("history", "--fleet").returncode == 0


def test_a_store_is_asked_over_tls(join: Join, tmp_path: Path):
    """With its authority named in the URL; a store that the authority does not vouch for is not
    trusted.
    """
    if why := speaks_tls(tmp_path / "probe"):
        pytest.skip(why)
    chain, key = certificate(tmp_path / "own")
    strange, _ = certificate(tmp_path / "strange")
    port = free_port()
    words = (
        "--tls-port",
        str(port),
        "--tls-cert-file",
        str(chain),
        "--tls-key-file",
        str(key),
        "--tls-auth-clients",
        "no",
    )
    served = Server(tmp_path / "tls", *words)
    try:
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs="
        a, b = (join(name, fleet={"url": f"{url}{chain}", "name": "shop"}) for name in "ab")
        wrong = join("wrong", fleet={"url": f"{url}{strange}", "name": "shop"})

        assert a.verb("mode", "report-only", "--fleet").returncode == 0
        all_have(None, a, b)
        assert "certificate" in fleet(wrong)["trouble"].lower()
        all_have("one", wrong)
    finally:
        served.close()


@pytest.mark.parametrize("scheme", ["rediss", "rediss+sentinel"])
def test_an_authority_need_not_name_the_use_of_its_key(scheme: str):
    """As for all other servers, whatever Python asks by itself."""
    options = client(f"{scheme}://127.0.0.1/master", 1.0).connection_pool.connection_kwargs

    assert options["ssl_exclude_verify_flags"] == [ssl.VERIFY_X509_STRICT]


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h:1,h2:2/shop",
        "rediss+sentinel://u:p%40@h,[::1]:26379/shop/3",
        "redis://h",
        "unix:///run/redis",
        "rediss://u:p@h:6380/1?ssl_ca_certs=/ca.pem",
        "redis+sentinel://h/shop?sentinel_password=x",
    ],
)
def test_a_url_of_a_store(url: str):
    """The settings take it, and a client can be made of it."""
    from sidecar.fleet.redis_store import client

    assert layered({"fleet": {"url": url, "name": "s"}}, {}, {}).fleet.url == url
    assert client(url, 1.0)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h:1,h2:2",
        "redis+sentinel:///shop",
        "redis+sentinel://h:1,:2/shop",
        "redis+sentinel://h/shop/x",
        "redis+sentinel://h:0/shop",
        "sentinel://h/shop",
        "redis://u:secret@",
        "redis://u:secret\u2100@h:1",
        "redis://u:secret@[h",
    ],
)
def test_a_url_that_is_none_says_what_to_write(url: str):
    """Without quoting it."""
    with pytest.raises(PolicyError, match=r"redis\+sentinel://HOST:PORT,HOST:PORT/MASTER") as wrong:
        layered({"fleet": {"url": url, "name": "s"}}, {}, {})
    assert "secret" not in str(wrong.value)


@pytest.mark.parametrize(
    ("said", "alive", "asked"),
    [
        ("1", 5, 1),
        ("2", 1, 2),
        ("50%", 3, 2),
        ("50%", 4, 2),
        ("100%", 3, 3),
        ("1%", 3, 1),
        ("34%", 3, 2),
        ("100%", 0, 1),
    ],
)
def test_a_quorum_is_a_number_or_a_share(said: str, alive: int, asked: int):
    """Rounded up, one at least; the same after the settings were handed to a worker as JSON."""
    made = layered({"fleet": {"quorum": said}}, {}, {})
    again = type(made).model_validate_json(made.model_dump_json())
    for settings in (made, again):
        assert needed(settings.fleet.quorum, alive) == asked


@pytest.mark.parametrize("said", ["0", "-1", "half", "101%", "0%", "1.5", ""])
def test_a_quorum_that_is_none_says_what_to_write(said: str):
    """A number of replicas, or a share."""
    with pytest.raises(PolicyError, match=r"unknown (quorum|percentage)"):
        layered({"fleet": {"quorum": said}}, {}, {})
