"""Validation errors of the models in the reader's words: place, wrong word, fix.

`source` adds lines and columns by the path.
"""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from sidecar.policy.terms import Path, Problem

_DATE = re.compile(r"-\d{4}-\d\d$")
_TYPES = {
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "text_or_list": "a text or a list of texts",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
}
_SHOWN = {"NoneType": "nothing", "str": "text", "dict": "a mapping", "list": "a list"}
_LETTERS = "use letters, digits, '.', '_' and '-', at most 64"


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """The fix for a wrong word: the nearest choice (its date may be missing), all if few, or ""."""
    known = sorted(set(choices))
    names = {_DATE.sub("", choice.lower()): choice for choice in known}
    names |= {choice.lower(): choice for choice in known}
    near = difflib.get_close_matches(str(word).lower(), names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {names[near[0]]!r}?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= 16 else ""


def keys_at(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """The keys allowed in the mapping that `path` leads to, () where any key is."""
    here: Any = model
    for part in path:
        if (keys := _keys(here)) is not None:
            here = _inner(keys.get(str(part)))
        else:
            arguments = [argument for argument in typing.get_args(here) if argument is not Ellipsis]
            here = _inner(arguments[-1]) if arguments else None
    return tuple(_keys(here) or ())


def _keys(annotation: Any) -> dict[str, Any] | None:
    """The keys of a model and their annotations; None for anything else."""
    if not isinstance(annotation, type) or not issubclass(annotation, BaseModel):
        return None
    fields = annotation.model_fields.items()
    return {field.alias or name: field.annotation for name, field in fields}


def _inner(annotation: Any) -> Any:
    """The annotation without Annotated and without `| None`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _inner(typing.get_args(annotation)[0])
    given = typing.get_args(annotation)
    arguments = [argument for argument in given if argument is not type(None)]
    if len(arguments) == 1 < len(given):
        return _inner(arguments[0])
    parts = (one for one in arguments if typing.get_origin(one) is typing.Annotated)
    models = (model for model in map(_inner, parts) if _keys(model) is not None)
    return next(models, annotation)


def translate(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """All errors of one validation as problems, each with the path to its place."""
    return tuple(_problem(dict(item), model) for item in error.errors(include_url=False))


def _problem(item: dict[str, Any], model: type[BaseModel]) -> Problem:
    kind, word = item["type"], item["input"]
    *above, end = item["loc"] or ("",)
    # @ marks a form of a value, unless it begins a user's own wrong key.
    path: Path = tuple(part for part in above if not str(part).startswith("@"))
    if item["loc"] and (kind == "extra_forbidden" or not str(end).startswith("@")):
        path = (*path, end)
    texts = [part for part in path if isinstance(part, str) and part != "[key]"]
    last = texts[-1] if texts else "file"
    if kind == "extra_forbidden":
        fix = did_you_mean(end, keys_at(model, path[:-1]))
        return Problem(f"unknown key {end!r}", fix, path, at_key=True)
    if kind == "missing":
        return Problem(f"key {path[-1]!r} is missing", "add it", path[:-1])
    if kind == "literal_error":
        expected = item["ctx"]["expected"].replace(" or ", ", ").split(", ")
        choices = [choice.strip("'") for choice in expected]
        if str(word) in choices:  # right but for its type: '1' for 1
            text = f"{last} {word!r} must be a number, not a text"
            return Problem(text, "write it without quotes", path)
        return Problem(f"unknown {last} {word!r}", did_you_mean(word, choices), path)
    if path and path[-1] == "[key]":
        return Problem(f"illegal name {word!r}", _LETTERS, path[:-1], at_key=True)
    if kind == "value_error":
        text, _, fix = str(item["ctx"]["error"]).partition("; ")
        return Problem(text, fix, path)
    if kind == "string_pattern_mismatch":
        return Problem(f"illegal {last} {word!r}", _LETTERS, path)
    if kind in ("too_short", "string_too_short"):
        return Problem(f"{last} is empty", "write at least one, or leave the key out", path)
    if kind in _TYPES:
        shown = _SHOWN.get(type(word).__name__, f"{word!r}")
        shown = shown.lower() if isinstance(word, bool) else shown  # as YAML writes it
        is_number = type(word) in (int, float) and "text" in _TYPES[kind]
        fix = f"put it in quotes: '{word}'" if is_number else ""
        return Problem(f"{last} must be {_TYPES[kind]}, got {shown}", fix, path)
    for bound, words in (("ge", "at least"), ("le", "at most")):
        if bound in item.get("ctx", {}):
            return Problem(f"{last} must be {words} {item['ctx'][bound]}, got {word!r}", "", path)
    return Problem(f"{last}: {item['msg'][0].lower()}{item['msg'][1:]}", "", path)
