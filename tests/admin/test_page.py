"""The admin page: what it shows, and the orders of its forms."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sidecar.admin.view import (
    CommandContext,
    cause,
    counts,
    difference,
    entry,
    event,
    line,
    replicas,
    rule,
    timeline,
    whole,
)
from tests.admin import ROLLOUT, Control, control
from tests.harness import text

HERE = CommandContext("/p", "h")
NASTY = "<script>alert(1)</script>\"'&"


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Control]:
    """A process whose policy was edited once and then broken, with hostile words wherever words
    can be.
    """
    async with control(tmp_path) as made:
        made.file.write_text(
            text("SAMEORIGIN") + f"reason: |\n  {NASTY}\nowner: '{NASTY.replace(chr(39), '')}'\n"
        )
        await made.made.reload(NASTY)
        await made.made.set_mode("report-only", reason=NASTY, who=NASTY, ttl=60)
        made.telemetry.emit(
            "header.would_change",
            **{
                "changes": [{"header": NASTY}],
                "http.request.method": NASTY,
                "url.path": NASTY,
                "http.response.status_code": 200,
            },
        )
        made.file.write_text(f"version: 1\nmode: '{NASTY.replace(chr(39), '')}'\n")
        await made.made.reload()
        yield made


class Outline(HTMLParser):
    """The tags of a page, and what a reader with no styles sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


async def form(admin: Control) -> str:
    """The word that the page's forms carry."""
    page = str((await admin.get("/"))[1])
    return re.findall(r'name="form" value="([0-9a-f]{64})"', page)[0]


async def ordered(admin: Control, order: str, **words: str) -> tuple[int, str]:
    """Post a form; status, and what the page will say of it."""
    async with admin.http.post(
        f"{admin.url}/orders/{order}", data=words, allow_redirects=False
    ) as response:
        return response.status, html.unescape(response.headers.get("Location", "")).replace(
            "+", " "
        )


async def test_the_page_shows_what_is_in_force(admin: Control):
    """Mode, revision, override, the refused file with its place, rules with their evidence,
    history, commands.
    """
    status, page, headers = await admin.get("/")
    outline = Outline(str(page))
    words = " ".join(" ".join(outline.words).split())

    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for expected in (
        admin.made.current.id,
        "report-only",
        "The policy file was refused",
        ":2:7: error: unknown mode",
        "frames",
        "3 of 10 page loads",
        "See the causes.",
        "In force",
        "Refused",
        f"sidecar rollback --admin {admin.url}",
    ):
        assert expected in words, expected
    assert "^" in words


@pytest.mark.parametrize(
    "path", ["/", "/revisions/{}", "/login", f"/login?message={NASTY}", f"/?other={NASTY}"]
)
async def test_nothing_that_others_wrote_is_markup(admin: Control, path: str):
    """Names, reasons, values and addresses stand as text; the policy of the page allows no
    script of theirs anyway.
    """
    _, page, headers = await admin.get(path.format(admin.made.current.id))
    outline = Outline(str(page))

    assert "<script>alert" not in str(page)
    assert outline.tags.count("script") <= 1
    assert not [name for name, _ in outline.attributes if name.startswith("on") or name == "style"]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_a_revision_is_shown_beside_the_one_in_force(admin: Control):
    """Line by line, with its whole text; an unknown one is not found."""
    parent = admin.made.current.parent
    _, page, _ = await admin.get(f"/revisions/{parent}")
    outline = Outline(str(page))

    assert any("DENY" in words for words in outline.words)
    assert ("value", parent) in outline.attributes
    assert (await admin.get("/revisions/nowhere"))[:2] == (404, {"error": "no such revision"})
    _, own, _ = await admin.get(f"/revisions/{admin.made.current.id}")
    assert "They say the same." in str(own)


async def test_assets_are_those_of_the_page(admin: Control):
    """Style and script by name, nothing else of the folder."""
    assert (await admin.get("/assets/page.js"))[2][
        "Content-Type"
    ] == "text/javascript; charset=utf-8"
    assert (await admin.get("/assets/page.html"))[0] == 404
    assert (await admin.get("/assets/..%2Fapi.py"))[0] == 404


async def test_forms_give_orders(admin: Control):
    """The same orders as the API, in the name of the page; afterwards the page says what came of
    it.
    """
    word = await form(admin)
    parent = str(admin.made.current.parent)

    assert await ordered(admin, "mode", form=word, mode="off", reason="because", sure="yes") == (
        303,
        "/?message=The mode is off now.",
    )
    assert admin.made.history()[-1]["who"] == "admin page"
    assert await ordered(admin, "rollback", form=word, to=parent, reason="because", sure="yes") == (
        303,
        f"/?message=Revision {parent} is in force again.",
    )
    assert (await ordered(admin, "rollback", form=word, to=parent, reason="because", sure="yes"))[
        1
    ].startswith("/?message=Nothing was changed")
    assert await ordered(admin, "reload", form=word) == (
        303,
        "/?message=The file was read%3A rejected.",
    )
    assert (await ordered(admin, "nonsense", form=word))[0] == 404


@pytest.mark.parametrize(
    "words",
    [
        {"mode": "off", "reason": "x"},
        {"mode": "off", "sure": "yes"},
        {"mode": "loud", "sure": "yes", "reason": "x"},
        {"sure": "yes", "reason": "x"},
    ],
)
async def test_a_mode_needs_a_reason_and_a_yes(admin: Control, words: dict[str, str]):
    """One click is too few for it."""
    before = admin.made.mode

    assert (await ordered(admin, "mode", form=await form(admin), **words))[1].startswith(
        "/?message=Nothing was changed"
    )
    assert admin.made.mode == before


@pytest.mark.parametrize("word", ["", "0" * 64, "\u00e9"])
async def test_a_form_of_another_page_is_refused(admin: Control, word: str):
    """It cannot know the word; an older browser sends nothing else that tells it apart."""
    assert (await ordered(admin, "mode", form=word, mode="off", reason="x", sure="yes"))[0] == 403
    assert admin.made.mode == "report-only"


def test_a_chart_has_a_bar_from_the_first_interval():
    """The latest at the right edge, the highest to the top, none where nothing was counted;
    nothing to draw is nothing.
    """
    assert line((2,)) == "M59,15.5 V1.0"
    assert line((0, 2, 1)) == "M55,15.5 V15.5 M57,15.5 V1.0 M59,15.5 V8.2"
    assert line((0,)) == "M59,15.5 V15.5"
    assert line(()) == ""
    assert line(range(31)).startswith("M1,15.5 ")


def test_a_cause_says_whose_it_is_and_what_to_do():
    """What the site needs goes to `suggest`; what nothing shows it to need can be waived by its
    id.
    """
    reported = ROLLOUT["causes"][0] | {"sample": "", "blocked": "https://cdn.test/a.js"}
    needed = cause(reported, "csp", CommandContext("/a b.yaml", "127.0.0.1:1"))
    foreign = cause(
        reported | {"kind": "unserved", "clients": 16},
        "csp",
        CommandContext("/a b.yaml", "127.0.0.1:1"),
    )

    assert (needed["what"], needed["blocked_text"], needed["who"]) == (
        "Address",
        "https://cdn.test/a.js",
        "1 client",
    )
    assert needed["command"] == ""
    for blocked, directive, what in (("eval", "script-src", "Keyword"), ("", "camera", "Feature")):
        made = cause(reported | {"blocked": blocked, "directive": directive}, "it", HERE)
        assert (made["what"], made["blocked_text"]) == (what, blocked or directive)
    assert (
        foreign["command"]
        == "sidecar promote csp --waive c1 --policy '/a b.yaml' --admin http://127.0.0.1:1"
    )
    assert foreign["who"] == "16 clients or more"


@pytest.mark.parametrize(
    ("command", "here", "pasted"),
    [
        ("sidecar status", CommandContext("/p", "h:1"), "sidecar status --admin http://h:1"),
        (
            "sidecar note",
            CommandContext("/p", "h:1", "/a token"),
            "sidecar note --admin http://h:1 --token-file '/a token'",
        ),
        (
            "sidecar promote csp",
            CommandContext("/p", "h:1", None, True),
            "sidecar promote csp --fleet --policy /p --admin http://h:1",
        ),
        (
            "sidecar suggest csp",
            CommandContext("/p", "h:1", "/t", True),
            "sidecar suggest csp --fleet --policy /p --admin http://h:1 --token-file /t",
        ),
        ("", CommandContext("/p", "h:1", "/t", True), ""),
    ],
)
def test_a_copied_command_works_wherever_it_is_pasted(
    command: str, here: CommandContext, pasted: str
):
    """It names the file that it edits, the admin listener, the token's file where one is needed,
    and the fleet.
    """
    assert whole(command, here) == pasted


def test_a_decision_of_the_fleet_is_a_point_of_the_timeline():
    """In the words of what was decided, with who and on which replica."""
    said = {
        "event": "decision.followed",
        "revision": "r2",
        "who": "anna",
        "replica": "vm-1",
        "mode": "trial",
    }
    for decided, title, what in (
        ("policy.promoted", "Promoted", "r2"),
        ("policy.rolled_back", "Rolled back to", "r2"),
        ("mode.overridden", "Mode now", "trial"),
    ):
        made = entry(said | {"decided": decided}, "r2")
        assert (made["title"], made["what"], made["who"]) == (title, what, "anna, on vm-1")
        assert made["now"] == (what == "r2")


def test_replicas_say_how_far_they_are_behind():
    """Whatever the store says of them."""
    listed = [
        {"replica": "a", "ago": 1, "version": 3, "mode": "trial", "revision": "r"},
        {"replica": "b", "ago": 2, "version": 2},
        {"replica": "c", "ago": 3, "version": "x"},
    ]
    made = replicas({"replicas": listed, "replica": "b", "version": 3})
    assert [(one["own"], one["does"], one["behind"]) for one in made] == [
        (False, "trial, revision r", ""),
        (True, "mode not known, revision not known", "1 decision behind"),
        (False, "mode not known, revision not known", ""),
    ]
    assert replicas({"replicas": None, "replica": "b", "version": 3}) == []


def test_a_rule_says_where_its_routes_differ():
    """And does not say of a cause twice what stands in it."""
    places = [{"route": "api", "mode": "enforce"}, {"route": "default", "mode": "trial"}]
    reasons = ["browsers reported: script-src blocks it [c1]", "watched for 9s; needed: 1d"]
    shown = rule(ROLLOUT | {"places": places, "reasons": reasons}, HERE)

    assert shown["mixed"] == "enforce on api, trial on default"
    assert shown["reasons"] == reasons[1:]
    assert rule(ROLLOUT, HERE)["mixed"] == ""


def test_the_timeline_marks_what_is_in_force_once():
    """The newest entry of the revision in force; times to the second, plain words for what no
    person did.
    """
    journal = [
        {
            "event": "policy.activated",
            "revision": name,
            "who": "file",
            "time": "2026-01-02T03:04:05.678+00:00",
        }
        for name in ("one", "two", "one")
    ]
    made = timeline(journal, "one")

    assert [point["now"] for point in made] == [True, False, False]
    assert (made[0]["time"], made[0]["who"]) == (
        "2026-01-02 03:04:05+00:00",
        "a change of the file",
    )


def test_a_difference_marks_its_lines():
    """Added, removed, place and same; without an earlier text there is none."""
    assert difference("a\nb", "a\nc") == [
        ("place", "@@ -1,2 +1,2 @@"),
        ("same", " a"),
        ("removed", "-b"),
        ("added", "+c"),
    ]
    assert difference(None, "a") == []


@pytest.mark.parametrize(
    ("blocked", "disposition", "said"),
    [
        ("inline", "report", "img-src would block inline on /cart"),
        ("inline", "enforce", "img-src blocks inline on /cart"),
        ("sidecar-canary", "report", "a test report came back from /cart"),
    ],
)
def test_a_report_says_whether_anything_was_blocked(blocked: str, disposition: str, said: str):
    """In trial browsers block nothing; a test report blocks nothing of the site's."""
    data = {"directive": "img-src", "document": "/cart", "timestamp": "t", "event": "e"}
    assert event({**data, "blocked": blocked, "disposition": disposition})["text"] == said


@pytest.mark.parametrize(
    ("mode", "said"),
    [("report-only", ("Mode limited to", "report-only")), ("enforce", ("Limit lifted", ""))],
)
def test_a_limit_is_set_or_lifted(mode: str, said: tuple[str, str]):
    """A ceiling of enforce limits nothing."""
    row = entry({"time": "t", "event": "mode.overridden", "mode": mode}, "other")

    assert (row["title"], row["what"]) == said


@pytest.mark.parametrize(
    ("one", "what", "why"),
    [
        ({"revision": "abc", "reason": "r"}, "abc", "r"),
        ({"mode": "off"}, "off", ""),
        ({"rules": ["a", "b"], "to": {"a": "trial"}, "reason": "r"}, "a to trial, b", "r"),
        ({"problems": ["one", "two"]}, "", "one; two"),
    ],
)
def test_an_entry_of_the_journal_as_a_row(one: dict[str, object], what: str, why: str):
    """What it is about and why, whichever keys it has."""
    row = entry({"time": "t", "event": "e", **one}, "other")

    assert (row["what"], row["why"], row["diff"]) == (what, why, "revision" in one)


@pytest.mark.parametrize(
    ("modes", "said"),
    [
        (("report-only", "trial"), "GET / 200: A, B"),
        (("enforce", "enforce"), "GET / 200: A, B"),
        (("enforce", "trial"), "GET / 200: A; would change 1 more"),
    ],
)
def test_a_changed_response_names_what_was_changed(modes: tuple[str, str], said: str):
    """Apart from what rules in lower modes would change."""
    changes = [{"header": name, "mode": mode} for name, mode in zip("AB", modes, strict=True)]
    data = {"timestamp": "t", "event": "header.changed", "changes": changes, "url.path": "/"}
    data |= {"http.request.method": "GET", "http.response.status_code": 200}

    assert event(data)["text"] == said


async def test_causes_are_shown_without_what_extensions_did(admin: Control):
    """The page and the API hold the same rules; a cause's sample is text."""
    words = " ".join(Outline(str((await admin.get("/"))[1])).words)

    assert "<script>alert(1)" in words
    assert "moz-extension" not in words
    assert "sidecar suggest frames" in words
    assert (await admin.get("/api/rollout"))[1]["rules"][0]["rule"] == "frames"


def test_rules_are_counted_by_mode():
    """In the order of the modes, without those that no rule is in."""
    assert counts([{"mode": "enforce"}, {"mode": "off"}, {"mode": "enforce"}]) == [
        ("off", 1),
        ("enforce", 2),
    ]


async def test_a_rollback_needs_a_reason_and_a_yes(admin: Control):
    """One click is too few for it."""
    word, parent = await form(admin), str(admin.made.current.parent)

    assert (await ordered(admin, "rollback", form=word, to=parent, reason="x"))[1].startswith(
        "/?message=Nothing was changed"
    )


async def test_the_rules_come_alone_for_a_page_that_is_open(admin: Control):
    """Without the journal and the forms, which an open page need not read again."""
    status, page, headers = await admin.get("/rules")
    outline = Outline(str(page))

    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert ("id", "rules") in outline.attributes
    assert "form" not in outline.tags


async def test_each_form_that_rolls_back_asks_for_a_yes(admin: Control):
    """On the page and beside an older revision: what the order wants, the form asks."""
    for path in ("/", f"/revisions/{admin.made.current.parent}"):
        outline = Outline(str((await admin.get(path))[1]))
        assert ("action", "/orders/rollback") in outline.attributes
        assert ("name", "sure") in outline.attributes, path
