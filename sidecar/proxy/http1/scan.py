"""How far bytes of one kind reach, found eight at a time.

Only compiled code calls these functions: it reads eight bytes as one number (`librt`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import i64

try:  # noqa: SIM105  (as the compiler takes it)
    from librt.strings import read_i64_le
except ImportError:
    pass  # only compiled code reads by bytes, and that has it

# In each function a number holds eight bytes, and `marks` the lowest bit of each that is not of the
# kind. Sums keep to seven bits of each byte, so that none carries into the next. Constants are
# computed, as the compiler keeps literals of more than 62 bits as objects.


def letters(data: bytes, at: i64, size: i64) -> i64:
    """Where the next byte stands that is no letter and no hyphen, or one of the last seven."""
    ones: i64 = 0x0101010101010101
    seven = ones * 127
    while at + 8 <= size:
        word: i64 = read_i64_le(data, at)
        lower = (word | ones * 32) & seven
        letter = (lower + ones * (128 - 97)) & ~(lower + ones * (128 - 123)) & ~word
        other = word ^ ones * 45
        other |= (other & seven) + seven
        marks = ~(letter | ~other) >> 7 & ones
        if marks != 0:
            return at + lowest(marks)
        at += 8
    return at


def visible(data: bytes, at: i64, size: i64) -> i64:
    """Where the next byte stands that is no visible ASCII, `#` or `?`, or one of the last seven."""
    ones: i64 = 0x0101010101010101
    seven = ones * 127
    while at + 8 <= size:
        word: i64 = read_i64_le(data, at)
        low = word & seven
        above = (low + ones * (128 - 33)) & ~(low + ones)  # 33 to 126
        sharp = word ^ ones * 35
        question = word ^ ones * 63
        other = (((sharp & seven) + seven) | sharp) & (((question & seven) + seven) | question)
        marks = ~(above & other & ~word) >> 7 & ones
        if marks != 0:
            return at + lowest(marks)
        at += 8
    return at


def text(data: bytes, at: i64, size: i64) -> i64:
    """Where the next control byte but HTAB stands, or `size`."""
    ones: i64 = 0x0101010101010101
    seven = ones * 127
    while at + 8 <= size:
        word: i64 = read_i64_le(data, at)
        low = word & seven
        # 32 to 126 of ASCII, and all above it.
        marks = ~((low + ones * (128 - 32)) & ~(low + ones) | word) >> 7 & ones
        if marks == 0:
            at += 8
            continue
        at += lowest(marks)
        if data[at] != 9:
            return at
        at += 1
    while at < size:
        byte: i64 = data[at]
        if (byte < 32 and byte != 9) or byte == 127:
            break
        at += 1
    return at


def lowest(marks: i64) -> i64:
    """The number of the first byte that is marked; there must be one."""
    ones: i64 = 0x0101010101010101
    below = ((marks & -marks) - 1) & ones  # the lowest bit of each byte before it
    return (below * ones) >> 56 & 15


def same_name(data: bytes, begin: i64, name: bytes, length: i64) -> bool:
    """Whether the name in `data` from `begin` is `name`, which has this length and is made of
    lower-case letters, digits and hyphens; so far only its case may differ.
    """
    ones: i64 = 0x0101010101010101
    spaces = ones * 32
    if length < 8:
        at: i64 = 0
        while at < length:
            byte: i64 = data[begin + at]
            if byte | 32 != name[at]:
                return False
            at += 1
        return True
    at = 0
    last = length - 8
    while at < last:
        if read_i64_le(data, begin + at) | spaces != read_i64_le(name, at):
            return False
        at += 8
    return read_i64_le(data, begin + last) | spaces == read_i64_le(name, last)
