"""The runner of documents, on a sample text."""

from pathlib import Path

import pytest

from tests.e2e import recipes
from tests.e2e.processes import clean_environment, until

DOCUMENT = """\
# A project

```sh
pip install nothing-of-the-sort
python -m pytest
```

Write a file:

```sh
word=kept
echo "port 18000 of 118000" > note.txt
```

```console
$ false
```

```yaml
mode: enforce
```

1. In a list:

   ```sh
   cat note.txt
   (sleep 0.3; touch ready; sleep 60) &   # stays
   test -e ready && echo "$word"
   ```

```sh
false
echo never
```

```sh
echo never
```
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> recipes.Outcome:
    """The document run once."""
    folder = tmp_path_factory.mktemp("recipe")
    return recipes.run(
        recipes.blocks(DOCUMENT),
        folder,
        env=clean_environment(),
        ready="test -e ready",
        replace={"18000": "28000"},
    )


def test_blocks_are_found_with_their_lines() -> None:
    """Blocks come in order, each with the line of its fence, without the indentation of a list."""
    found = recipes.blocks(DOCUMENT)
    assert [block.line for block in found] == [3, 10, 25, 31, 36]
    assert found[2].text.splitlines()[0] == "cat note.txt"
    assert [block.text for block in recipes.blocks(DOCUMENT, "yaml")] == ["mode: enforce\n"]


def test_blocks_share_one_shell_and_folder(outcome: recipes.Outcome) -> None:
    """A later block sees the files and variables of an earlier one; set-up and blocks of other
    languages are left out.
    """
    assert "port 28000 of 118000\nkept\n" in outcome.output
    assert "nothing-of-the-sort" not in outcome.output


def test_first_failure_ends_it_and_is_named(outcome: recipes.Outcome) -> None:
    """The first command that fails ends the run, and its block's line is reported."""
    assert outcome.line == 31
    assert "never" not in outcome.output


def test_success_names_no_line(tmp_path: Path) -> None:
    """A document whose commands all work has no line to name."""
    assert recipes.run(
        [recipes.Block(1, "true\n")], tmp_path, env=clean_environment()
    ) == recipes.Outcome(0, "## 1\n")


def test_what_stays_is_ended(tmp_path: Path) -> None:
    """What a block left running is gone when the run is over."""
    block = recipes.Block(1, "sleep 600 &\necho $! > pid\n")
    assert recipes.run([block], tmp_path, env=clean_environment()).line == 0
    process = Path("/proc", (tmp_path / "pid").read_text().strip())
    until(
        lambda: not process.exists() or " Z " in (process / "stat").read_text(),
        "the process is gone",
    )
