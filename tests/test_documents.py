"""The documents say what the code does."""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from sidecar.policy.terms import MODES
from sidecar.settings import Settings
from tests import words
from tests.documents import PARTS, ROOT, documents, pictures, refreshed
from tests.e2e import recipes

TEXTS = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("config/*"),
        *ROOT.glob("deploy/**/*.md"),
        *ROOT.glob("deploy/**/*.y*ml"),
        *ROOT.glob(".github/**/*.*ml"),
        ROOT / "sidecar/policy/codes.yaml",
    )
    if path.name not in ("CHANGELOG.md", "openapi.yaml")
)
"""All texts but the history, and the API's names."""
PAGES = [path for path in TEXTS if path.suffix == ".md" and ".github" not in path.parts]
SETTINGS = Settings()
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_parts_are_up_to_date(path: Path):
    """`python -m tests.documents --write` would change nothing."""
    text = path.read_text("utf-8")

    assert refreshed(text) == text


@pytest.mark.parametrize("name", pictures())
def test_drawn_pictures_are_up_to_date(name: str):
    """Each is what `python -m tests.documents --write` draws from the documents as they stand, so a
    picture and its table cannot disagree.
    """
    assert (ROOT / name).read_text("utf-8") == pictures()[name]


def test_every_drawn_picture_is_drawn_anew():
    """No SVG of the documents is left that nothing draws."""
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "pictures").glob("*.svg")}

    assert there == set(pictures())


@pytest.mark.parametrize("name", pictures())
def test_drawn_pictures_say_in_words_what_they_show(name: str):
    """Each is well-formed, has a title, a description and no script, loads nothing, and has colours
    for light and for dark.
    """
    text = (ROOT / name).read_text("utf-8")
    root = ET.fromstring(text)
    first, second, style = root[:3]

    assert [first.tag, second.tag, style.tag] == [f"{SVG}title", f"{SVG}desc", f"{SVG}style"]
    assert root.get("aria-labelledby") == f"{first.get('id')} {second.get('id')}"
    assert first.text and second.text and "prefers-color-scheme: dark" in (style.text or "")
    assert [each for each in ("<script", "href", "url(", "@import") if each in text] == []


def _texts(name: str) -> list[str]:
    root = ET.fromstring((ROOT / "docs" / "pictures" / name).read_text("utf-8"))
    return [each.text or "" for each in root.iter(f"{SVG}text")]


def test_the_way_of_a_rule_names_every_mode():
    """Each mode of the policy has its box, lowest first."""
    assert [text for text in _texts("rule.svg") if text in MODES] == [*MODES]


def test_where_the_sidecar_stands_has_the_default_ports():
    """The picture's ports are those of the settings, and the text beside it says the same."""
    listeners = (SETTINGS.listen, SETTINGS.admin, SETTINGS.health, SETTINGS.upstream)
    ports = {address.rpartition(":")[2] for address in listeners}
    page = (ROOT / "docs" / "working-day.md").read_text("utf-8")
    beside = page.partition("![")[2].partition("](pictures/place.svg)")[0]

    assert {text for text in _texts("place.svg") if text.isdigit()} == ports
    assert set(re.findall(r"port (\d+)", beside)) == ports


def test_how_a_pod_ends_has_the_seconds_of_the_manifest():
    """The picture's seconds are in the words of the manifest's head."""
    head = (ROOT / "deploy/kubernetes/components/native/sidecar.yaml").read_text("utf-8")
    head = head.partition("apiVersion")[0]
    seconds = [text for text in _texts("stopping.svg") if text.isdigit()]

    assert [each for each in seconds if f" {each} " not in head] == []
    assert len(seconds) == 4


def test_every_picture_of_a_page_has_a_text_and_is_there():
    """Each picture that a document shows has an alternative text; each file is there."""
    shown = [
        (path.name, alt, source)
        for path in TEXTS
        if path.suffix == ".md"
        for text in [path.read_text("utf-8")]
        for alt, source in [
            *re.findall(r"!\[([^\]]*)\]\(([^)\s]+)", text),
            *(
                ("".join(re.findall(r'alt="([^"]*)"', tag)), source)
                for tag in re.findall(r"<img [^>]*>", text)
                for source in re.findall(r'src="([^"]*)"', tag)
            ),
        ]
        if not alt or not (path.parent / source).is_file()
    ]

    assert shown == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_headings_are_in_order_and_columns_have_names(path: Path):
    """A page begins with its only first-level heading, no heading skips a level, and no column of a
    table is without a name: people who hear a page find their way by both.
    """
    text = re.sub(
        r"^( *)```.*?^\1```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    levels = [len(found) for found in re.findall(r"^(#+) ", text, re.MULTILINE)]
    heads = re.findall(r"^(\|.*\|)\n\|[-:| ]+\|$", text, re.MULTILINE)

    assert levels[0] == 1 and levels.count(1) == 1
    assert [each for before, each in pairwise(levels) if each > before + 1] == []
    assert [head for head in heads if "" in map(str.strip, head[1:-1].split("|"))] == []


def test_every_part_stands_somewhere():
    """Policy keys, settings, metrics and verbs are all documented."""
    texts = "".join(path.read_text("utf-8") for path in documents())

    assert [name for name in PARTS if f"<!-- generated: {name} -->" not in texts] == []


def test_links_lead_somewhere():
    """Every relative link of the documents points to a file that is there."""
    missing = [
        (path.name, target)
        for path in (
            ROOT / "README.md",
            ROOT / "CONTRIBUTING.md",
            ROOT / "SECURITY.md",
            *ROOT.glob("config/**/*.md"),
            *ROOT.glob("deploy/**/*.md"),
            *ROOT.glob("docs/**/*.md"),
        )
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", path.read_text("utf-8"))
        if not (path.parent / target).exists()
    ]

    assert missing == []


def test_readme_is_one_screen_with_two_set_up_commands():
    """README has at most 60 lines; its first block holds the two commands that set up, which CI
    takes from there.
    """
    text = (ROOT / "README.md").read_text("utf-8")
    set_up, *others = recipes.blocks(text)

    assert len(text.splitlines()) <= 60
    assert [line.rpartition(" && ")[2] for line in set_up.text.splitlines()] == [
        ".venv/bin/sidecar demo",
        ".venv/bin/pytest",
    ]
    assert [block for block in others if block.is_set_up] == []


def test_every_page_is_in_the_index():
    """`docs/README.md` links to every page of `docs/`."""
    index = (ROOT / "docs" / "README.md").read_text("utf-8")

    assert [
        path.name
        for path in (ROOT / "docs").glob("*.md")
        if path.name != "README.md" and f"({path.name})" not in index
    ] == []


def test_every_page_is_in_the_navigation():
    """`nav` of mkdocs.yml names each page of `docs/` once."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    named = re.findall(r"[\w./-]+\.md", str(nav))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").glob("**/*.md")}

    assert len(named) == len(set(named))
    assert sorted(pages - {"README.md"} - set(named)) == []


def test_texts_use_plain_words():
    """No document, help, setting, finding or runbook uses a word that had to be explained too
    often (`tests/words.py`).
    """
    found = {
        str(path.relative_to(ROOT)): complaints
        for path in TEXTS
        if (complaints := words.found(path.read_text("utf-8")))
    }

    assert found == {}


def test_a_word_is_found_with_its_line():
    """Each word is reported with its line and what to write; names of code are left alone."""
    text = "It is told apart.\nThe event `told` is told\nfor good, in all octets.\n"

    assert words.found(text) == [
        "line 2: 'told'; write logged, reported",
        "line 3: 'for good'; write for ever, or leave it out",
        "line 3: 'octets'; write bytes",
    ]


def test_contributing_says_where_things_are():
    """Each file that the table of CONTRIBUTING names is there, and holds the example that stands
    beside it.
    """
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Where things are")[2]
    rows = re.findall(r"^\| ([^|]+) \| `(sidecar/[^`]+)`[^|]*\| `([^`]+)` \|$", text, re.MULTILINE)

    assert len(rows) >= 5
    assert [row for row in rows if row[2] not in (ROOT / row[1]).read_text("utf-8")] == []
