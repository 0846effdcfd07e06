"""Validation errors of the models in the reader's words: place, wrong word, fix.

Lives here: the translation from pydantic's errors to `Problem`, and the did-you-mean. Must not
know what the models mean, nor lines and columns (`source` adds those by the path).
"""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from sidecar.policy.model import Path, Problem

_DATE = re.compile(r"-\d{4}-\d\d$")
_TYPES = {
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
}


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """The fix for a wrong word: the nearest choice (dated ones also without their date), or all
    when few; "" = none.
    """
    known = sorted(set(choices))
    names = {_DATE.sub("", choice.lower()): choice for choice in known} | {
        choice.lower(): choice for choice in known
    }
    near = difflib.get_close_matches(str(word).lower(), names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {names[near[0]]!r}?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= 16 else ""


def keys_at(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """The keys allowed in the mapping that `path` leads to, () where any key is."""
    here: Any = model
    for part in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            by_alias = {
                field.alias or name: field.annotation for name, field in here.model_fields.items()
            }
            here = _inner(by_alias.get(str(part)))
        else:
            arguments = [argument for argument in typing.get_args(here) if argument is not Ellipsis]
            here = _inner(arguments[-1]) if arguments else None
    if isinstance(here, type) and issubclass(here, BaseModel):
        return tuple(field.alias or name for name, field in here.model_fields.items())
    return ()


def _inner(annotation: Any) -> Any:
    """The annotation without Annotated and without `| None`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _inner(typing.get_args(annotation)[0])
    arguments = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    if len(arguments) == 1 and type(None) in typing.get_args(annotation):
        return _inner(arguments[0])
    models = [
        _inner(argument)
        for argument in arguments
        if typing.get_origin(argument) is typing.Annotated
    ]
    return next(
        (model for model in models if isinstance(model, type) and issubclass(model, BaseModel)),
        annotation,
    )


def translate(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """All errors of one validation as problems, each with the path to its place."""
    return tuple(_problem(dict(item), model) for item in error.errors(include_url=False))


def _problem(item: dict[str, Any], model: type[BaseModel]) -> Problem:
    kind, word = item["type"], item["input"]
    above = len(item["loc"]) - (
        kind == "extra_forbidden"
    )  # @ marks a form, but for a user's own wrong key
    path: Path = tuple(
        part for at, part in enumerate(item["loc"]) if at == above or not str(part).startswith("@")
    )
    last = next(
        (str(part) for part in reversed(path) if isinstance(part, str) and part != "[key]"), "file"
    )
    if kind == "extra_forbidden":
        return Problem(
            f"unknown key {path[-1]!r}",
            did_you_mean(path[-1], keys_at(model, path[:-1])),
            path,
            at_key=True,
        )
    if kind == "missing":
        return Problem(f"key {path[-1]!r} is missing", "add it", path[:-1])
    if kind == "literal_error":
        choices = [
            choice.strip("'")
            for choice in item["ctx"]["expected"].replace(" or ", ", ").split(", ")
        ]
        if str(word) in choices:  # right but for its type: '1' for 1
            return Problem(
                f"{last} {word!r} must be a number, not a text", "write it without quotes", path
            )
        return Problem(f"unknown {last} {word!r}", did_you_mean(word, choices), path)
    if path and path[-1] == "[key]":
        return Problem(
            f"illegal name {word!r}",
            "use letters, digits, '.', '_' and '-', at most 64",
            path[:-1],
            at_key=True,
        )
    if kind == "value_error":
        text, _, fix = str(item["ctx"]["error"]).partition("; ")
        return Problem(text, fix, path)
    if kind == "string_pattern_mismatch":
        return Problem(
            f"illegal {last} {word!r}", "use letters, digits, '.', '_' and '-', at most 64", path
        )
    if kind in ("too_short", "string_too_short"):
        return Problem(f"{last} is empty", "say at least one, or leave the key out", path)
    if kind in _TYPES:
        shown = {"NoneType": "nothing", "str": "text", "dict": "a mapping", "list": "a list"}.get(
            type(word).__name__, f"{word!r}"
        )
        fix = (
            f"put it in quotes: '{word}'"
            if _TYPES[kind] == "text" and isinstance(word, int | float)
            else ""
        )
        return Problem(f"{last} must be {_TYPES[kind]}, got {shown}", fix, path)
    return Problem(f"{last}: {item['msg'][0].lower()}{item['msg'][1:]}", "", path)
