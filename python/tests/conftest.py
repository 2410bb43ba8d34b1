import re

import pytest
import vkscan

RULES = [r"\bghp_[0-9A-Za-z]{4,9}\b", r"(?i)pass(?:word)?\s*=\s*\S+", r"[0-9]{3}", r"^\w+", r"x+y?"]


def by_re(rules, row):
    """The same matches by Python's own regexes, for rules that mean the same to both."""
    if row is None:
        return None
    row = row.encode() if isinstance(row, str) else bytes(row)
    found = [
        (number, *match.span())
        for number, rule in enumerate(rules)
        for match in re.finditer(rule.encode(), row)
        if match.group()
    ]
    return sorted(found)


@pytest.fixture(scope="session")
def scanner():
    with vkscan.Scanner(RULES) as scanner:
        yield scanner
