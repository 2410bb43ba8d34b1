"""Scans bytes for thousands of regular expressions at once on raw Vulkan compute.

    import vkscan

    with vkscan.Scanner([r"\\bghp_[0-9A-Za-z]{36}\\b", r"(?i)password\\s*=\\s*\\S+"]) as scanner:
        for row, matches in enumerate(scanner.scan(["Password = hunter2", "nothing", None])):
            print(row, matches)

`Scanner.scan` takes anything that speaks the Arrow PyCapsule interface, and gives something that does.
"""

from typing import NamedTuple

from ._errors import DeviceError, Error, RuleError, TooManyMatches


class Match(NamedTuple):
    """A match of one rule: the bytes `start` to `end` of its row. Never empty."""

    rule: int
    """The rule's place in the list of rules, from 0."""
    start: int
    """Offset of the first byte in its row; of a string, in its UTF-8."""
    end: int
    """Offset after the last byte."""


from ._vkscan import ChunkedMatches, Matches, Scanner, __version__, devices  # noqa: E402

__all__ = [
    "ChunkedMatches",
    "DeviceError",
    "Error",
    "Match",
    "Matches",
    "RuleError",
    "Scanner",
    "TooManyMatches",
    "devices",
]
