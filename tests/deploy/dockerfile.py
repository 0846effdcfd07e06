"""A Dockerfile read as instructions, and its build stage run without an engine."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its word in capitals and the rest of its line, continuations joined."""

    word: str
    rest: str


def stages(file: Path) -> list[list[Instruction]]:
    """The stages of a Dockerfile, each beginning with its FROM."""
    lines = (
        line for line in file.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")
    )
    text = "\n".join(lines).replace("\\\n", " ")
    found: list[list[Instruction]] = []
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word.upper() == "FROM":
            found.append([])
        found[-1].append(Instruction(word.upper(), re.sub(r"\s+", " ", rest).strip()))
    return found


def of(stage: list[Instruction], word: str) -> list[str]:
    """What one stage says under this word."""
    return [instruction.rest for instruction in stage if instruction.word == word]


def environment(stage: list[Instruction]) -> dict[str, str]:
    """What ENV sets in one stage."""
    return dict(pair.split("=", 1) for rest in of(stage, "ENV") for pair in shlex.split(rest))


def build(stage: list[Instruction], context: Path, root: Path, **arguments: str) -> None:
    """Run a stage's COPY and RUN instructions with `root` in the place of `/opt` and of its work
    folder.

    `arguments` are build arguments: for what ARG names, in the place of its default.
    """
    given = dict(rest.split("=", 1) for rest in of(stage, "ARG"))
    assert given.keys() >= arguments.keys()
    source = root / "src"
    source.mkdir(parents=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for instruction in stage:
        words = instruction.rest.split()
        if instruction.word == "COPY":
            for name in words[:-1]:
                target = source / words[-1]
                target.parent.mkdir(parents=True, exist_ok=True)
                if (context / name).is_dir():
                    shutil.copytree(
                        context / name, target, ignore=shutil.ignore_patterns("__pycache__")
                    )
                else:
                    shutil.copy(context / name, target)
        elif instruction.word == "RUN":
            command = instruction.rest.replace("/opt/", f"{root}/")
            done = subprocess.run(
                ["sh", "-ec", command],
                cwd=source,
                env=os.environ | {"PATH": path} | given | arguments,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert done.returncode == 0, f"RUN {command}\n{done.stdout}\n{done.stderr}"
