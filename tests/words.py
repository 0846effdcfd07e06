"""Words that people had to have explained, and what to write in their place."""

from __future__ import annotations

import re

INSTEAD = {
    r"told(?! apart)": "logged, reported",
    r"octets?": "bytes",
    r"cures?": "fix",
    r"mend(s|ed|ing)?": "repair",
    r"strangers?": "visitors, untrusted peers, anyone",
    r"blotted": "replaced",
    r"gravest": "most serious",
    r"shall": "must, will",
    r"for good": "for ever, or leave it out",
    r"of one kind": "similar, the same",
    r"lives? and dies?": "is used from its start to its end",
    r"nobody waits": "say who waits for what",
    r"own answers?": "error response",
    r"bears? witness": "counts as evidence",
    r"goes along": "is exported, is sent",
    r"twins?": "report-only header",
    r"testimony": "evidence",
}
"""Patterns that no text holds, and what to write instead."""
_ANY = re.compile(rf"\b(?:{'|'.join(INSTEAD)})\b", re.IGNORECASE)
_CODE = re.compile(r"`[^`]*`")
"""Names of code in a text: they are not judged here."""


def found(text: str) -> list[str]:
    """Each word of a text that should not be there, with its line and what to write."""
    return [
        f"line {number}: '{word[0]}'; write {_instead(word[0])}"
        for number, line in enumerate(text.splitlines(), 1)
        for word in _ANY.finditer(_CODE.sub("", line))
    ]


def _instead(word: str) -> str:
    return next(
        text for pattern, text in INSTEAD.items() if re.fullmatch(pattern, word, re.IGNORECASE)
    )
