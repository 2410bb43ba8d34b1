"""What the examples scan, and how they are checked: `python NAME.py [ROWS]`, 20,000 rows for the figures in the docs."""

import json
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from itertools import cycle, islice
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ROW_BYTES = 4096
ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 500

with open(REPOSITORY / "examples/rules/secrets.toml", "rb") as file:
    RULES = [rule["regex"] for rule in tomllib.load(file)["rules"]]
RULES.append(r"https?://[\w.-]+/[\w./-]+")

# Of the type that `Scanner.scan` gives, in SQL's words.
SQL_TYPE = 'STRUCT(rule UINTEGER, "start" UBIGINT, "end" UBIGINT)[]'


def texts():
    """Rows of 4 KiB: the sources of Python's own library, and the example files with their made-up secrets."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted((REPOSITORY / "examples/files").rglob("*.*")) + sorted(folder.glob("*.py"))
    text = b"\n".join(file.read_bytes() for file in files).decode("ascii", "replace").replace("\ufffd", "?")
    rows = [text[at : at + ROW_BYTES] for at in range(0, len(text), ROW_BYTES)]
    return list(islice(cycle(rows), ROWS))


def expected(rows):
    """What the `regex` crate finds in each row."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("rules", "rows")]
        for file, strings in zip(files, (RULES, rows)):
            file.write_text(json.dumps(strings))
        command = ["cargo", "run", "--quiet", "--features", "cli", "--example", "expected", "--", *files]
        found = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    return [[tuple(match) for match in json.loads(line)] for line in found.stdout.splitlines()]


def check(engine, rows, scan):
    """Has `scan` give each row's matches, compares them with those of the `regex` crate, and says how long it took."""
    began = time.perf_counter()
    found = scan()
    seconds = time.perf_counter() - began
    different = sorted(set(rows))
    known = dict(zip(different, expected(different)))
    found = [[(match["rule"], match["start"], match["end"]) for match in row] for row in found]
    assert found == [known[row] for row in rows], "the matches are not those of the `regex` crate"
    matches = sum(map(len, found))
    assert matches > 0
    print(f"{engine}: {len(rows)} rows, {matches} matches, {seconds:.2f} s")
