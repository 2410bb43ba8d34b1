"""The examples run, and so does the README's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((REPOSITORY / "python/examples").glob("with_*.py"))


def run(*arguments):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readmes_example_prints_what_it_says():
    section = (REPOSITORY / "README.md").read_text().split("\n## From Python\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    said = re.findall(r"print\(.*\)  # (.*)", code)
    assert said and run("-c", code).splitlines() == said


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_find_what_they_should(example):
    assert re.search(r": 500 rows, [1-9][0-9]* matches, ", run(str(example)))
