"""How fast an Arrow column is scanned, beside a ring session's own rate for the same rows.

    cargo build --release --no-default-features --features prebuilt-shaders --example items
    python python/benches/column.py --ring target/release/examples/items

Both take turns in one run; the figures are medians. The ring session has its items made before it is timed, and its
matches stay where they are; a scan of the column begins with the column and ends with an Arrow array of all matches.
"""

import argparse
import random
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import vkscan

RULES = [
    r"\bghp_[0-9A-Za-z]{36}\b",
    r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    r"(?i)\bpassword\s*=\s*\S+",
    r"\bxox[abeprs]-(?:[0-9]{10,13}-){1,3}[A-Za-z0-9]{24,34}\b",
]


def column(rows, row_bytes):
    """Log lines of one length, of which one in a hundred has a secret."""
    chance = random.Random(1)
    words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz0123456789/:=.", k=chance.randrange(3, 12))) for _ in range(5000)]
    pieces = []
    for number in range(min(rows, 10_000)):
        line = b" ".join(chance.choices(words, k=row_bytes // 4))
        if number % 100 == 0:
            line = b"password=hunter%d " % number + line
        pieces.append(line[:row_bytes])
    values = b"".join(pieces) * -(-rows // len(pieces))
    values = values[: rows * row_bytes]
    offsets = pa.array(range(0, len(values) + 1, row_bytes), pa.int64()).buffers()[1]
    return values, pa.Array.from_buffers(pa.large_string(), rows, [None, offsets, pa.py_buffer(values)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--row-bytes", type=int, default=200)
    parser.add_argument("--rules", type=Path, help="a file with one regex a line, instead of a few of its own")
    parser.add_argument("--ring", help="the program `items`, of examples/items.rs")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="for which a turn goes on")
    asked = parser.parse_args()

    rules = asked.rules.read_text().splitlines() if asked.rules else RULES
    values, texts = column(asked.rows, asked.row_bytes)
    bare = []
    own = []
    with vkscan.Scanner(rules) as scanner, tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("rules", "items")]
        files[0].write_text("\n".join(rules))
        files[1].write_bytes(values)
        print(f"{asked.rows} rows of {asked.row_bytes} bytes, {len(rules)} rules, on {scanner.device['name']}")
        matches = scanner.scan(texts).match_count
        for _ in range(asked.turns):
            began = time.perf_counter()
            while True:
                before = time.perf_counter()
                found = scanner.scan(texts)
                own.append(time.perf_counter() - before)
                assert found.match_count == matches
                if time.perf_counter() - began >= asked.seconds:
                    break
            if asked.ring:
                done = subprocess.run(
                    [asked.ring, *files, str(asked.row_bytes)], capture_output=True, text=True, check=True
                )
                told = re.fullmatch(r"(\d+) items, (\d+) matches, ([\d.]+) s, .*\n", done.stdout)
                assert (int(told[1]), int(told[2])) == (asked.rows, matches), done.stdout
                bare.append(float(told[3]))

    def rate(seconds):
        return len(values) / statistics.median(seconds) / 1e9

    print(f"column: {rate(own):.3f} GB/s, {matches} matches")
    if bare:
        print(f"ring session: {rate(bare):.3f} GB/s; the column goes at {rate(own) / rate(bare):.0%} of that")


main()
