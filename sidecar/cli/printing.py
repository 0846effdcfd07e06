"""How results reach people and machines: tables to a terminal, JSON to stdout, problems to stderr.

`rich` is loaded only for a table or colours, which follow NO_COLOR and the terminal.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from textwrap import indent
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.text import Text

    from sidecar.policy.terms import Problem

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MODE_STYLES = {"off": "dim", "report-only": "yellow", "trial": "cyan", "enforce": "green"}


def out() -> Console:
    """Stdout for people, as wide as its terminal; what goes to a file or a pipe has 200 columns."""
    from rich.console import Console

    # rich takes a terminal without colours (TERM=dumb) for one of 80 columns
    width = shutil.get_terminal_size().columns if os.isatty(1) else 200
    return Console(width=width, highlight=False, markup=False, emoji=False)


def show(*parts: str | Text | tuple[str, str], style: str = "", soft_wrap: bool = False) -> None:
    """A line on stdout for people, of texts, some with a style; `soft_wrap`: it is not broken."""
    from rich.text import Text

    out().print(Text.assemble(*parts, style=style), soft_wrap=soft_wrap)


def show_diff(diff: str) -> None:
    """A unified diff on stdout, in colours on a terminal."""
    from rich.syntax import Syntax

    if out().is_terminal:
        made = Syntax(diff, "diff", theme="ansi_light", background_color="default")
        out().print(made, soft_wrap=True)  # or long lines are cut at the edge
    else:
        show(diff, soft_wrap=True)


def say(text: str, style: str | None = None) -> None:
    """A line on stderr for people in a colour, or `dim`, without waiting for `rich`."""
    look: dict[str, Any] = {"dim": True} if style == "dim" else {"fg": style}
    coloured = False if "NO_COLOR" in os.environ else bool(os.environ.get("FORCE_COLOR")) or None
    click.secho(plain(text), err=True, color=coloured, **look)


def plain(text: str) -> str:
    """Foreign text with its control characters escaped, so that it cannot steer a terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def as_json(data: Any) -> None:
    """One JSON document on stdout."""

    def plain_data(value: object) -> str:
        """What JSON has no form for; bytes are header lines."""
        return value.decode("latin-1") if isinstance(value, bytes) else str(value)

    click.echo(json.dumps(data, indent=2, default=plain_data))


def complain(problems: Iterable[Problem], excerpts: Iterable[str] = ()) -> None:
    """Problems on stderr, a line each, with the source line below where it is known."""
    shown = list(excerpts)
    for position, problem in enumerate(problems):
        style = {"error": "red", "warning": "yellow", "info": "cyan"}[problem.severity]
        say(str(problem), style)
        if position < len(shown) and shown[position]:
            say(indent(shown[position], " " * 4), "dim")


def problem_data(problem: Problem) -> dict[str, Any]:
    """A problem for machines."""
    names = ("file", "line", "column", "severity", "message", "fix")
    data = {name: getattr(problem, name) for name in names}
    return {**data, "path": [str(part) for part in problem.path]}


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    spare: Sequence[str] = (),
) -> None:
    """A table on stdout. Where it is wider than the terminal, columns of `spare` are left out, the
    first one first, and named below it. Where not even the others' words fit, each row becomes a
    paragraph.
    """
    from rich.table import Table
    from rich.text import Text

    cells = [
        [cell if isinstance(cell, Text) else Text(plain(str(cell))) for cell in row] for row in rows
    ]
    console, left_out = out(), list[str]()
    if title:
        show(title, style="bold")
    for column in spare:
        if _fits(console.width, columns, cells, left_out, whole=True):
            break
        left_out.append(column)
    if not _fits(console.width, columns, cells, left_out, whole=False):
        _paragraphs(columns, cells)
        return
    made = Table(header_style="bold", box=None, pad_edge=False)
    places = [at for at, column in enumerate(columns) if column not in left_out]
    for at in places:
        made.add_column(columns[at], overflow="fold")
    for row in cells:
        made.add_row(*(row[at] for at in places))
    console.print(made)
    if left_out:
        say(f"left out, as the terminal is narrow: {', '.join(left_out)}; --json has all", "dim")


def _fits(
    width: int,
    columns: Sequence[str],
    cells: Sequence[Sequence[Text]],
    left_out: Sequence[str],
    *,
    whole: bool,
) -> bool:
    """Whether the columns that are not left out fit a width, with `whole` cells or by the word.

    A word of more than 40 characters, as a hash, may be broken.
    """
    needed = 0
    for at, column in enumerate(columns):
        if column not in left_out:
            texts = [row[at].plain for row in cells]
            words = texts if whole else (word[:40] for text in texts for word in text.split())
            needed += 2 + max(map(len, (*column.split(), "", *words)))
    return needed <= width


def _paragraphs(columns: Sequence[str], cells: Iterable[Sequence[Text]]) -> None:
    """Each row with its first cell as the heading, and the others below it by name."""
    for row in cells:
        show(row[0].plain or "-", style="bold")
        for name, cell in zip(columns[1:], row[1:], strict=True):
            if cell.plain:
                show((f"  {name}: ", "dim"), cell, soft_wrap=True)


def next_step(command: str) -> None:
    """What to do now, as the last line on stderr."""
    say(f"next: {command}")


def give_up(why: object, step: str) -> NoReturn:
    """End the command with status 1: why, and what to do."""
    say(str(why), "red")
    next_step(step)
    sys.exit(1)


def refused(problems: Iterable[Problem]) -> None:
    """Problems of files, flags or variables that cannot be used, and what to do."""
    found = tuple(problems)
    complain(found)
    run_again(dict.fromkeys(problem.file for problem in found if problem.line))


def run_again(files: Iterable[str] = ()) -> None:
    """The next step where something given was wrong: in these files, or in the command itself."""
    context = click.get_current_context()
    verb = context.invoked_subcommand or context.info_name  # of the group, or of the verb itself
    next_step(f"correct {' and '.join(files) or 'that'}, and run again: sidecar {verb}")


def local_time(stamp: float) -> str:
    """Epoch seconds as a date and time of this machine's zone."""
    return datetime.fromtimestamp(stamp).astimezone().isoformat(timespec="seconds")


def mode_text(mode: str) -> Text:
    """A mode in its colour."""
    from rich.text import Text

    return Text(mode, style=MODE_STYLES.get(mode, ""))


class Steps:
    """A running progress bar: call it after each step; `aside` hides it while something prints."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def __call__(self) -> None:
        """One more step is done."""
        self._progress.advance(self._task)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Without the bar, so that what is printed has lines of its own."""
        self._progress.stop()
        yield
        self._progress.start()


@contextmanager
def steps(label: str, total: int | None) -> Iterator[Steps]:
    """A progress bar on stderr; none without a terminal or for one step. `total` None: unknown."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    hidden = not sys.stderr.isatty() or total == 1
    count = [] if total is None else [MofNCompleteColumn()]
    columns = (TextColumn("{task.description}"), BarColumn(), *count)
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=hidden, redirect_stdout=False
    ) as progress:
        yield Steps(progress, progress.add_task(label, total=total))
