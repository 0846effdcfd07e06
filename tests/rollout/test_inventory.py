"""The inventory of scripts and the note for PCI DSS: what was seen is taken in, what people
wrote stays.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.baseline.drift import DriftFinding, DriftReport
from sidecar.policy.browsers.reports import read_reports
from sidecar.policy.terms import PolicyError
from sidecar.revisions.entries import check
from sidecar.rollout.pci import (
    InventoryScript,
    merged,
    pci_markdown,
    pci_note,
    read_inventory,
    seen_scripts,
    write_inventory,
)
from sidecar.rollout.served_pages import MAX_SCRIPTS, LoadedScripts

HASH = "sha256-rtx4k2oxQYyg90wQKxk+0Co6zu4AMqdg568VMHuJKNc="
OTHER = "sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s="
APP = "https://shop.example/app.js"
STATUS = {
    "name": "shop",
    "owner": "web@example.com",
    "revision": "r2",
    "mode": "enforce",
    "routes": [
        {"name": "pay", "rules": [{"name": "csp", "mode": "enforce"}]},
        {"name": "default", "rules": [{"name": "csp", "mode": "trial"}]},
    ],
}


def loaded(
    url: str = APP, digest: str = HASH, page: str = "https://shop.example/pay?card=1"
) -> Any:
    """The report of a script that Chromium 156 loaded, as it sends it."""
    body = {
        "destination": "script",
        "documentURL": page,
        "hash": digest,
        "subresourceURL": f"{url}?x=1",
        "type": "subresource",
    }
    text = json.dumps([{"age": 3, "type": "csp-hash", "url": page, "body": body}]).encode()
    (report,) = read_reports(text, "application/reports+json")
    return report


def pages(*scripts: dict[str, Any]) -> dict[str, Any]:
    """What the sidecar says that pages hold: one inline script, one handler, one style, one
    address.
    """
    seen = {"first": 86400.0, "last": 2 * 86400.0, "pages": ["/pay"], "loads": 3, "clients": 2}
    inline = [
        {"kind": kind, "hash": f"'{digest}'", "line": 1, "text": "x", **seen}
        for kind, digest in (("script", HASH), ("handler", OTHER), ("style", "sha256-style"))
    ]
    urls = [
        {"directive": "script-src-elem", "url": APP, **seen},
        {"directive": "img-src", "url": "https://shop.example/a.png", **seen},
    ]
    return {
        "routes": {"pay": {"read": 7, "dropped": 0, "inline": inline, "urls": urls}},
        "scripts": list(scripts),
    }


def test_a_report_of_a_hash_says_which_script_arrived():
    """Address without its query, the hash, and the page without its query."""
    report = loaded()

    assert (report.blocked, report.hash, report.document) == (APP, HASH, "/pay")


@pytest.mark.parametrize("digest", ["", "md5-abc", "sha256-short", f"{HASH}' 'unsafe-inline", 5])
def test_what_is_no_hash_is_none(digest: Any):
    """Nothing else of a report gets into the inventory."""
    assert loaded(digest=digest).hash == ""


def test_scripts_are_counted_by_address_and_hash():
    """Two texts of one address are two lines; a client counts once."""
    scripts = LoadedScripts(lambda: 5.0)
    for client in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        scripts.add(loaded(), client)
    scripts.add(loaded(digest=OTHER), "192.0.2.1")

    assert [(it["url"], it["hash"], it["count"], it["clients"]) for it in scripts.data()] == [
        (APP, HASH, 3, 2),
        (APP, OTHER, 1, 1),
    ]


def test_forged_reports_are_bounded_and_leave_what_is_seen_often():
    """Ten times as many addresses as are held: the one that was reported twice is still there."""
    scripts = LoadedScripts()
    for _ in range(2):
        scripts.add(loaded(), "192.0.2.1")
    for number in range(10 * MAX_SCRIPTS):
        scripts.add(replace(loaded(), blocked=f"https://forged.example/{number}"), "192.0.2.9")

    held = scripts.data()
    assert (len(held) <= MAX_SCRIPTS, held[0]["url"]) == (True, APP)


def test_only_scripts_are_taken_in():
    """Inline scripts and handlers by hash, addresses of scripts; no styles, no pictures."""
    assert [one.script for one in seen_scripts(pages())] == [HASH, OTHER, APP]


def test_reports_and_pages_are_one_script():
    """The address that a page names is the one that a browser reports; both texts that arrived
    are kept.
    """
    reported = [
        {
            "url": APP,
            "hash": digest,
            "count": 1,
            "clients": 1,
            "pages": ["/pay", "/b"],
            "first": 0.0,
            "last": 9e5,
        }
        for digest in (HASH, OTHER)
    ]
    found = next(one for one in seen_scripts(pages(*reported)) if one.script == APP)

    assert found == InventoryScript(
        script=APP,
        hashes=(HASH, OTHER),
        pages=("/pay", "/b"),
        first="1970-01-01",
        last="1970-01-11",
    )


def test_what_people_wrote_stays():
    """Owner and reason of a known script are kept, its last day moves, and a new one comes
    without them.
    """
    day = "1970-01-01"
    held = InventoryScript(
        script=APP, owner="ann", why="checkout", pages=("/pay",), first=day, last=day
    )

    found = merged((held,), seen_scripts(pages()))
    assert found[0] == held.model_copy(update={"last": "1970-01-03"})
    assert [(one.script, one.authorised) for one in found[1:]] == [(HASH, False), (OTHER, False)]


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=20)


@given(
    st.lists(
        st.builds(
            InventoryScript,
            script=TEXT.filter(bool),
            hashes=st.lists(TEXT).map(tuple),
            pages=st.lists(TEXT).map(tuple),
            **dict.fromkeys(("owner", "why", "first", "last"), TEXT),
        )
    )
)
def test_the_file_reads_back(scripts: list[InventoryScript]):
    """Law: whatever owner and reason are, the file that is written holds the same scripts."""
    assert read_inventory(write_inventory(scripts).encode(), "scripts.yaml") == tuple(scripts)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("version: 2\nscripts: []\n", "scripts.yaml:1:10"),
        ("version: 1\nscripts:\n  - scrpt: x\n", "scripts.yaml:3:5"),
        ("- a\n", "scripts.yaml"),
        ("version: 1\nscripts:\n  - script: x\n    owner: [a]\n", "scripts.yaml:4:12"),
    ],
)
def test_a_mistake_in_the_file_has_its_place(text: str, place: str):
    """As in every file of ours."""
    with pytest.raises(PolicyError) as caught:
        read_inventory(text.encode(), "scripts.yaml")

    assert str(caught.value.problems[0]).startswith(place)


def note(scripts: tuple[InventoryScript, ...], drift: Any = None) -> str:
    """The note as Markdown."""
    return pci_markdown(pci_note(STATUS, pages(), drift, check([]), "scripts.yaml", scripts))


def test_the_note_says_who_answers_for_each_script():
    """Numbers, modes per rule, a mark on what nobody answers for, and on an address from which
    two texts came.
    """
    text = note(
        (
            InventoryScript(script=APP, owner="ann", why="pay | here", hashes=(HASH, OTHER)),
            InventoryScript(script=HASH),
        )
    )

    for line in (
        "- **Rules:** csp (enforce, trial)",
        "- **Authorised:** 1 of 2 have an owner and a reason. The others are marked **no** below.",
        f"| {APP} | yes | ann | pay \\| here | **2 texts:** {HASH} {OTHER} |  |  |  |",
        f"| {HASH} | **no** |  |  | this hash |  |  |  |",
        (
            f"- **Scripts of which more than one text arrived:** {APP} (proof: browsers' reports of"
            " hashes)."
        ),
    ):
        assert line in text.splitlines(), (line, text)


def test_the_note_says_what_it_cannot_show():
    """What leaves the sidecar is not what arrives; without a baseline no change is claimed to be
    found.
    """
    text = note(())

    assert "The sidecar sees what it sends." in text
    assert "no baseline is set, so no change can be found" in text


def test_differences_from_the_baseline_stand_in_the_note():
    """Each as the admin API sends it, with its place."""
    place = ("default", "2xx", "html", "X-Frame-Options", "")
    found = DriftFinding(*place, "lost", "error", ((),), ((),), 3, 3, "3 of 3 responses had it")
    report = DriftReport((found,), 1, (), ()).data()

    assert "    - default 2xx html X-Frame-Options lost: 3 of 3 responses had it" in note(
        (), {"file": "b.yaml", **report}
    )


@pytest.mark.parametrize(
    ("compared", "said"),
    [
        (0, "no response of a kind that it holds came in the last minute, so none was compared"),
        (1, "0 differences in 1 kind of response that came in the last minute"),
    ],
)
def test_a_look_at_nothing_is_not_called_the_same(compared: int, said: str):
    """Without traffic there is no difference to be seen."""
    assert said in note((), {"file": "b.yaml", **DriftReport((), compared, (), ()).data()})
