"""Evidence over a restart: as it was written, through the same settings, by the same version."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.rollout.kept import (
    DAMAGED,
    OTHER_SETTINGS,
    OTHER_VERSION,
    circumstances,
    opened,
    sealed,
)
from sidecar.settings import Forwarding, Settings, Tls

RULES = {"default/it": {"meaning": "m", "watched": 5.0, "counts": {"a": 1.0}, "sent": {"300": 7.0}}}
NOW = circumstances(Settings())
SENT = {"default/it": {"sent": {"300": 7.0}}}


def written() -> dict[str, Any]:
    """As it comes from the disk."""
    data: dict[str, Any] = json.loads(json.dumps(sealed(RULES, NOW)))
    return data


def test_what_was_written_is_read():
    """And nothing is said of it."""
    assert opened(written(), NOW) == (RULES, "")
    assert opened(None, NOW) == ({}, "")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda data: data["rules"]["default/it"]["counts"].update(a=1000.0), (SENT, DAMAGED)),
        (lambda data: data["rules"]["default/it"].update(watched=1e9), (SENT, DAMAGED)),
        (lambda data: data["rules"]["default/it"].pop("counts"), (SENT, DAMAGED)),
        (lambda data: data["rules"]["default/it"].update(counts=[]), (SENT, DAMAGED)),
        (
            lambda data: data["rules"]["default/it"].update(sent={"x": "y", "1": None}),
            ({}, DAMAGED),
        ),
        (lambda data: data["rules"]["default/it"].update(sent=[]), ({}, DAMAGED)),
        (lambda data: data["rules"].update({"default/it": []}), ({}, DAMAGED)),
        (lambda data: data.update(sha256=None), (SENT, DAMAGED)),
        (lambda data: data["of"].update(version="0"), (SENT, DAMAGED)),
        (lambda data: data.pop("of"), ({}, OTHER_VERSION)),
        (lambda data: data.update(rules=[]), ({}, OTHER_VERSION)),
        (lambda data: data.clear(), ({}, DAMAGED)),
    ],
)
def test_what_was_edited_does_not_count(edit: Callable[[Any], object], expected: object):
    """Whatever it says; but browsers keep what they were sent."""
    data = written()
    edit(data)

    assert opened(data, NOW) == expected


@pytest.mark.parametrize("data", ["", [], 3, "x", [RULES]])
def test_what_is_no_object_does_not_count(data: object):
    """As a file that was cut."""
    assert opened(data, NOW) == ({}, DAMAGED)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(workers=2, trial={"canary": 0.5}), ""),
        (Settings(upstream="http://127.0.0.1:8001"), OTHER_SETTINGS),
        (Settings(forwarding=Forwarding(trusted=("10.0.0.0/8",))), OTHER_SETTINGS),
        (Settings(forwarding=Forwarding(host="rewrite")), OTHER_SETTINGS),
        (Settings(tls=Tls(certificate="a", key="b")), OTHER_SETTINGS),
    ],
)
def test_what_was_seen_through_other_settings_does_not_count(settings: Settings, expected: str):
    """Another service, or other peers that may say what the client's scheme was."""
    assert opened(written(), circumstances(settings))[1] == expected


def test_another_version_counts_anew():
    """Its tests of what breaks are others."""
    assert opened(written(), NOW | {"version": "99"}) == (SENT, OTHER_VERSION)
