"""Whatever rows come as, each has the matches of its own bytes."""

import array
import mmap
import random

import datafusion
import duckdb
import polars
import pyarrow as pa
import pytest

import vkscan
from conftest import RULES, by_re

ROWS = ["pass = x", "", None, "123 ghp_abcd1234 4567", "xxxy é password=ü xx", "a" * 300 + " 999", None, "plain"]


def random_rows(count, seed):
    chance = random.Random(seed)
    words = ["ghp_a1b2c3", "PASSWORD = s3cret", "1234", "xxxxy", "\n", " ", "é", "lorem", "_"]
    row = lambda: "".join(chance.choices(words, k=chance.randrange(40)))
    return [None if chance.random() < 0.1 else row() for _ in range(count)]


def expected(rows):
    return [by_re(RULES, row) for row in rows]


TYPES = [
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
    pa.string(),
    pa.large_string(),
    pa.string_view(),
]


@pytest.mark.parametrize("data_type", TYPES, ids=str)
@pytest.mark.parametrize("rows", [ROWS, random_rows(2000, 7)], ids=["few", "many"])
def test_every_arrow_type_has_each_rows_matches(scanner, data_type, rows):
    column = pa.array(rows, data_type)
    found = scanner.scan(column)
    assert isinstance(found, vkscan.Matches)
    assert list(found) == expected(rows)
    assert list(scanner.scan(column[3:])) == expected(rows[3:])
    assert list(scanner.scan(column[2:5])) == expected(rows[2:5])
    chunked = pa.chunked_array([column[:3], column[3:3], column[4:]])
    found = scanner.scan(chunked)
    assert type(found) is vkscan.ChunkedMatches
    assert list(found) == expected(rows[:3] + rows[4:])


@pytest.mark.parametrize("data_type", TYPES, ids=str)
def test_no_rows_have_no_matches(scanner, data_type):
    assert list(scanner.scan(pa.array([], data_type))) == []
    assert list(scanner.scan(pa.chunked_array([], data_type))) == []
    assert list(scanner.scan(pa.array([None, None], data_type))) == [None, None]
    assert list(scanner.scan(pa.array(["", ""], data_type))) == [[], []]


def test_rows_may_be_pythons_own(scanner):
    row = b"pass = x 123"
    (matches,) = scanner.scan(row)
    assert matches == by_re(RULES, row) and matches[0] == vkscan.Match(1, 0, 8)
    assert (matches[0].rule, matches[0].start, matches[0].end) == (1, 0, 8)
    for one in [bytearray(row), memoryview(row), row.decode(), array.array("B", row), pa.py_buffer(row)]:
        assert list(scanner.scan(one)) == [matches]
    assert list(scanner.scan([row, None, bytearray(row), "é 123", b""])) == [
        matches,
        None,
        matches,
        by_re(RULES, "é 123"),
        [],
    ]
    assert list(scanner.scan(row for _ in range(3))) == [matches] * 3
    assert list(scanner.scan([])) == []
    assert list(scanner.scan(memoryview(row)[5:])) == [by_re(RULES, row[5:])]
    with mmap.mmap(-1, 4096) as mapped:
        mapped[100:103] = b"123"
        assert (2, 100, 103) in scanner.scan(mapped)[0]


def test_a_table_of_one_column_is_its_column(scanner):
    table = pa.table({"text": ROWS})
    assert list(scanner.scan(table)) == expected(ROWS)
    assert list(scanner.scan(table.to_batches()[0])) == expected(ROWS)


def test_what_is_no_rows_is_refused(scanner):
    for wrong in [1, None, 1.5, object(), [1], [b"", [b""]], pa.array([1, 2]), pa.chunked_array([[1]])]:
        with pytest.raises(TypeError):
            scanner.scan(wrong)
    for wrong in [pa.table({"a": ["x"], "b": ["y"]}), pa.array([{"a": "x"}, None]), pa.array(["x"]).dictionary_encode()]:
        with pytest.raises(TypeError, match="not rows of bytes"):
            scanner.scan(wrong)
    with pytest.raises(ValueError, match="not contiguous"):
        scanner.scan(memoryview(b"123456")[::2])
    with pytest.raises(TypeError, match="items of 4 bytes"):
        scanner.scan(array.array("i", [1, 2]))
    assert list(scanner.scan("123")) == [[(2, 0, 3), (3, 0, 3)]]


def test_rows_that_fit_no_round_are_scanned_alone():
    rule = "secret[0-9]"
    large = bytearray(17 << 20)
    most = (16 << 20) - 4
    for at in [0, most - 7, most - 6, len(large) - 7]:
        large[at : at + 7] = b"secret%d" % (at % 10)
    rows = ["secret1", bytes(large), None, "xy", bytes(large[:most]), bytes(large[: most + 1])]
    with vkscan.Scanner([rule]) as scanner:
        found = list(scanner.scan(pa.array(rows, pa.large_binary())))
    assert found == [by_re([rule], row) for row in rows]


def test_rows_beyond_the_largest_session_go_through_in_windows():
    with vkscan.Scanner(["secret[0-9]", "done$"]) as scanner:
        most = (64 << 20) if scanner.device["kind"] == "CPU device" else (1 << 30)
        length = most + 1000
        with mmap.mmap(-1, length) as haystack:
            haystack[most - 3 : most + 4] = b"secret7"
            haystack[-4:] = b"done"
            (found,) = scanner.scan(haystack)
        assert found == [(0, most - 3, most + 4), (1, length - 4, length)]


def test_engines_columns_are_rows(scanner):
    rows = [row for row in ROWS]
    series = polars.Series("text", rows)
    assert list(scanner.scan(series)) == expected(rows)
    assert list(scanner.scan(series.to_frame())) == expected(rows)
    table = pa.table({"text": rows})
    with duckdb.connect() as connection:
        relation = connection.from_arrow(table)
        assert list(scanner.scan(relation)) == expected(rows)
    frame = datafusion.SessionContext().from_arrow(table)
    assert list(scanner.scan(frame)) == expected(rows)


def test_a_failing_stream_is_an_error(scanner):
    def batches():
        yield pa.record_batch({"text": ["123"]})
        raise RuntimeError("no more of that")

    schema = pa.schema([("text", pa.string())])
    with pytest.raises(ValueError, match="no more of that"):
        scanner.scan(pa.RecordBatchReader.from_batches(schema, batches()))
