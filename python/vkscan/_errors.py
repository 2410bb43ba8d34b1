"""What is raised, beside Python's own `TypeError`, `ValueError` and `OSError`."""


class Error(Exception):
    """A fault of vkscan's. It says what was asked, which limit applied and what to do."""

    __module__ = "vkscan"


class RuleError(Error):
    """Rules that are no regular expressions, or too large: one line for each.

    `rules` has their places in the list of rules, from 0.
    """

    __module__ = "vkscan"

    def __init__(self, message, rules=()):
        super().__init__(message)
        self.rules = list(rules)


class DeviceError(Error):
    """There is no such device, or it failed, was lost, or ran out of memory or time.

    After a loss the next scan opens the device anew.
    """

    __module__ = "vkscan"


class TooManyMatches(Error):
    """A row, a haystack or a file's window has more matches than `max_matches`.

    `row` is the row's number, from 0 and over all chunks; `None` for a file.
    """

    __module__ = "vkscan"

    def __init__(self, message, row=None):
        super().__init__(message)
        self.row = row
