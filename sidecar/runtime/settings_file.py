"""Settings as a process reads them: flag > environment > file > default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sidecar.policy.problems import translate
from sidecar.policy.terms import Path as Place
from sidecar.policy.terms import PolicyError, Problem
from sidecar.settings import Settings
from sidecar.source import load, located

ENV_PREFIX = "SIDECAR_"

# The first is read by the command line. Kubernetes and Docker set the others in every container
# beside a service named "sidecar": nobody wrote them as settings.
_NOT_SETTINGS = re.compile(r"SIDECAR_(CONFIG|SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_\w+)?)")


def read_settings(config: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Settings from file, environment and flags.

    Raises:
        PolicyError: with every problem, those of the file with line and column.
    """
    if config is None:
        return layered({}, os.environ, flags)
    try:
        source = load(config.read_bytes(), str(config))
    except OSError as error:
        said = f"the settings cannot be read: {error.strerror}"
        fix = "name another file with --config"
        raise PolicyError((Problem(said, fix, file=str(config)),)) from error
    data = source.data if source.data is not None else {}
    if not isinstance(data, dict):
        fix = "start with: upstream: http://127.0.0.1:8000"
        raise PolicyError((Problem("settings are a mapping", fix, file=str(config)),))
    try:
        return layered(data, os.environ, flags)
    except PolicyError as error:
        raise PolicyError(located(error.problems, source)) from error


_PARTS = tuple(name for name, field in Settings.model_fields.items() if field.default_factory)


def layered(file: Mapping[str, Any], env: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """The settings of this process.

    Args:
        file: the settings file's mapping.
        env: the environment; `SIDECAR_TIMEOUTS__HEADER=5s` sets timeouts.header.
        flags: top-level settings given on the command line; None = not given.

    Raises:
        PolicyError: with every problem; those elsewhere than in the file name variable or flag.
    """
    # A part that is not there would be made by a validator of its own; to build those for all
    # parts takes longer than to build that of the whole.
    data: dict[str, Any] = {name: {} for name in _PARTS} | {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in file.items()
    }
    variables: dict[Place, str] = {}
    for variable, value in sorted(env.items()):
        if not variable.startswith(ENV_PREFIX) or _NOT_SETTINGS.fullmatch(variable):
            continue
        path = tuple(variable[len(ENV_PREFIX) :].lower().split("__"))
        variables[path] = variable
        if len(path) == 1:
            data[path[0]] = value
        else:
            part = data.setdefault(path[0], {})
            if isinstance(part, dict):
                part["__".join(path[1:])] = value
    given = {key: value for key, value in flags.items() if value is not None}
    data.update(given)
    variables |= {(key,): f"--{key}" for key in given}
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise PolicyError(
            tuple(_named(problem, variables) for problem in translate(error, Settings))
        ) from error


def _named(problem: Problem, elsewhere: Mapping[Place, str]) -> Problem:
    """A problem with the variable or the flag in which it stands, if it stands in one."""
    place = elsewhere.get(problem.path)
    return problem if place is None else Problem(problem.message, problem.fix, (), file=place)
