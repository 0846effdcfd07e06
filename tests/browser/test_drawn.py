"""The drawn pictures of the documents as a browser shows them, in light and in dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import Chromium

PICTURES = sorted((Path(__file__).parent.parent.parent / "docs" / "pictures").glob("*.svg"))
LOOK = """
(() => {
  const light = (colour) => colour.match(/\\d+/g).slice(0, 3).map((each) => each / 255)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0.05);
  const page = document.documentElement.getBoundingClientRect(), found = [];
  const texts = [...document.querySelectorAll("text")].map((it) => [it, it.getBoundingClientRect()]);
  texts.forEach(([it, box], at) => {
    const say = (what) => found.push(`${it.textContent}: ${what}`);
    if (box.left < 0 || box.top < 0 || box.right > page.right || box.bottom > page.bottom) say("beyond the edge");
    for (const [other, its] of texts.slice(at + 1))
      if (box.left < its.right && its.left < box.right && box.top + 3 < its.bottom && its.top + 3 < box.bottom)
        say(`over "${other.textContent}"`);
    const below = document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2).find((each) => each.tagName == "rect");
    const [one, two] = [it, below].map((each) => light(getComputedStyle(each).fill)).sort((a, b) => b - a);
    if (one / two < 4.5) say(`contrast ${one / two}`);
  });
  return found;
})()
"""  # noqa: E501
"""What is wrong with the texts of the picture that is shown; contrast as in WCAG 2.2, 1.4.3."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_texts_can_be_read(browser: Chromium, path: Path, scheme: str):
    """No text leaves the picture or lies over another, and each stands out from what is below."""
    with browser.tab() as tab:
        tab.resize(1280, 1200)
        tab.send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        tab.visit(path.as_uri())

        assert tab.run("document.querySelectorAll('text').length") > 5
        assert tab.run(LOOK) == []
