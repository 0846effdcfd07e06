"""Progress bars on stderr, for verbs that ask many addresses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn


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
    hidden = not sys.stderr.isatty() or total == 1
    count = [] if total is None else [MofNCompleteColumn()]
    columns = (TextColumn("{task.description}"), BarColumn(), *count)
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=hidden, redirect_stdout=False
    ) as progress:
        yield Steps(progress, progress.add_task(label, total=total))
