"""How long browsers are asked to keep something: `5m`, `1d`, `2y` as whole seconds, and back."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

_SECONDS = {"y": 31_536_000, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""Largest first; a year has 365 days, as in the usual max-age of a year."""
_AGE = re.compile(rf"([1-9]\d{{0,9}})([{''.join(_SECONDS)}])")


def age(value: object) -> int:
    """Seconds of a whole number with s, m, h, d or y; raises ValueError with the fix."""
    found = _AGE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        fix = "write a whole number with s, m, h, d or y, as 30d"
        raise ValueError(f"unknown age {value!r}; {fix}")
    return int(found[1]) * _SECONDS[found[2]]


def age_text(seconds: int) -> str:
    """Seconds in the largest unit that divides them: `2y`, `30d`, `90s`."""
    unit = next(unit for unit, length in _SECONDS.items() if seconds % length == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def _ages(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Ages = Annotated[
    tuple[Annotated[int, BeforeValidator(age)], ...],
    BeforeValidator(_ages),
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "pattern": f"^{_AGE.pattern}$"},
            "minItems": 1,
        }
    ),
]
"""A list of ages."""
