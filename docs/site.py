"""`python docs/site.py`: gather the documents in `build/pages`, from which MkDocs makes the site.

Which file becomes which page, and where its links lead.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "build" / "pages"
REPOSITORY = "https://github.com/header-sidecar/header-sidecar/blob/main"
OUTSIDE = {
    "README.md": "index.md",
    "config/README.md": "policy.md",
    "deploy/README.md": "deploy.md",
    "deploy/THREATS.md": "threats.md",
    "deploy/logs/README.md": "logs.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Documents of the repository outside `docs/`, and the page that each becomes."""
INDEX = "docs/README.md"
"""The index of the repository's documents: on the site, the navigation replaces it."""
_PICTURES = ("docs/pictures/", "deploy/pictures/")
_FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<before>\]\(|\bsrc=\"|\bsrcset=\")(?P<target>[^)\"\s#]+)")


def gather(folder: Path) -> None:
    """Write every page and picture of the site into a folder, which is emptied before."""
    shutil.rmtree(folder, ignore_errors=True)
    for source, page in pages().items():
        text = (ROOT / source).read_text("utf-8")
        _write(folder / page, rewritten(text, PurePosixPath(source)).encode())
    _write(folder / "site.css", (ROOT / "docs" / "site.css").read_bytes())
    for prefix in _PICTURES:
        for path in sorted((ROOT / prefix).iterdir()):
            place = f"{prefix}{path.name}".removeprefix("docs/")
            _write(folder / place, path.read_bytes())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def pages() -> dict[str, str]:
    """Path of each document in the repository: path of its page."""
    inside = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("**/*.md")} - {INDEX}
    return OUTSIDE | {path: path.removeprefix("docs/") for path in sorted(inside)}


def rewritten(text: str, source: PurePosixPath) -> str:
    """The text with its relative links as the site needs them; code blocks stay.

    Args:
        text: Markdown.
        source: its path in the repository.
    """
    page = PurePosixPath(pages()[str(source)])

    def link(found: re.Match[str]) -> str:
        target = found["target"]
        if re.match(r"[a-z]+:", target):
            return found[0]
        place = normpath(str(source.parent / target))
        return found["before"] + _address(place, page)

    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(link, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(link, text[end:])])


def _address(place: str, page: PurePosixPath) -> str:
    """Where a file of the repository is found from a page of the site."""
    place = "README.md" if place == INDEX else place
    inside = pages().get(place)
    if place.startswith(_PICTURES):
        inside = place.removeprefix("docs/")
    return relpath(inside, page.parent) if inside else f"{REPOSITORY}/{place}"


if __name__ == "__main__":
    gather(PAGES)
