"""Waiting without the loop: an exchange goes on the moment what it waits for is there.

A future would wake a task in the loop's next round; a `Waiter` resumes whoever waits at once, from
where its news came.
"""

from __future__ import annotations

from collections.abc import Callable, Generator


class Waiter:
    """One wait of a coroutine that `resume` drives, awaited once; a future for who ends it."""

    __slots__ = ("_error", "_over", "_resume")

    def __init__(self, resume: Callable[[], None]) -> None:
        self._resume = resume
        self._over = False
        self._error: BaseException | None = None

    def __await__(self) -> Generator[Waiter, None, None]:
        """Yields itself to who drives the coroutine; returns or raises when that sends again."""
        yield self
        if self._error is not None:
            raise self._error

    def done(self) -> bool:
        """Nothing is waited for any more."""
        return self._over

    def set_result(self, _result: None) -> None:
        """It has come: go on, unless the wait is over."""
        if not self._over:
            self._over = True
            self._resume()

    def set_exception(self, error: BaseException) -> None:
        """It will not come: go on with this error."""
        self._over, self._error = True, error
        self._resume()

    def cancel(self) -> bool:
        """Who waits is gone: what ends the wait later wakes nobody."""
        self._over = True
        return False
