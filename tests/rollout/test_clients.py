"""Who counts as one client."""

from __future__ import annotations

import pytest

from sidecar.rollout.served_pages import hashed_clients


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unknown", "unknown", True),
        ("unknown", "a:b", False),
    ],
)
def test_one_client(one: str, other: str, same: bool):
    """An IPv4 address, or an IPv6 network of 64 bits: a host in it can take any address."""
    clients = hashed_clients()
    assert (clients(one) == clients(other)) is same


def test_no_other_process_makes_the_same_hash():
    """What is kept of a client leads nowhere."""
    assert hashed_clients()("192.0.2.1") != hashed_clients()("192.0.2.1")
