"""The documents as a site: every page is there, and its links lead to pages or to files of the
repository.
"""

import importlib.util
import re
from pathlib import Path, PurePosixPath
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site() -> ModuleType:
    """The script that gathers the pages."""
    spec = importlib.util.spec_from_file_location("site_script", ROOT / "docs" / "site.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_of_pages_lead_to_gathered_files(site: ModuleType, tmp_path: Path):
    """No relative link of a gathered page points outside what was gathered."""
    site.gather(tmp_path)
    lost = [
        (page.name, target)
        for page in tmp_path.glob("**/*.md")
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
        if not (page.parent / target).is_file()
    ]

    assert lost == []


@pytest.mark.parametrize(
    ("source", "link", "becomes"),
    [
        ("docs/codes.md", "[a](../config/README.md)", "[a](policy.md)"),
        ("README.md", "[a](docs/evidence.md#x)", "[a](evidence.md#x)"),
        ("README.md", "[a](docs/README.md)", "[a](index.md)"),
        ("docs/evidence.md", "![a](pictures/zoo.svg)", "![a](pictures/zoo.svg)"),
        ("README.md", 'srcset="deploy/pictures/page.png"', 'srcset="deploy/pictures/page.png"'),
        ("README.md", "[a](https://example.com/b.md)", "[a](https://example.com/b.md)"),
        ("README.md", "```sh\n[a](docs/codes.md)\n```", "```sh\n[a](docs/codes.md)\n```"),
    ],
)
def test_a_link_becomes_one_of_the_site(site: ModuleType, source: str, link: str, becomes: str):
    """Links to documents lead to their pages, with the anchor; other addresses and code stay."""
    assert site.rewritten(link, PurePosixPath(source)) == becomes


def test_a_link_to_a_file_that_is_no_page_leads_to_the_repository(site: ModuleType):
    """The site has no copy of a settings file: the link shows it in the repository."""
    found = site.rewritten("[a](../deploy/openapi.yaml)", PurePosixPath("docs/http.md"))

    assert found == f"[a]({site.REPOSITORY}/deploy/openapi.yaml)"
