"""The manual page says what the command line takes."""

import re
import shutil
import subprocess

import pytest

from tests import manual
from tests.cli import VERBS
from tests.documents import MANUAL


def test_the_manual_page_is_up_to_date():
    """`python -m tests.documents --write` would change nothing; every verb has its part."""
    text = MANUAL.read_text("ascii")

    assert text == manual.text()
    assert [name for name in VERBS if f'.SS "sidecar {name} ' not in text] == []


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is missing")
def test_the_manual_page_can_be_set():
    """Without a warning; what stands on the command line stands on the page."""
    set_page = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", "-P-c", str(MANUAL)],
        capture_output=True,
        text=True,
        check=True,
    )

    text = re.sub(".\x08", "", set_page.stdout)  # bold is a letter struck twice

    assert set_page.stderr == ""
    assert "sidecar check [OPTIONS] [FILES]..." in text
    assert "--explain CODE" in text
    assert "EXIT STATUS" in text
