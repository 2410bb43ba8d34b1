"""What comes of a scan is a sequence, and Arrow data."""

import polars
import pyarrow as pa
import pytest

import vkscan
from conftest import RULES, by_re

LIST = pa.list_(pa.struct([("rule", pa.uint32()), ("start", pa.uint64()), ("end", pa.uint64())]))
ROWS = ["123 456", None, "", "xy"]


def told(rows):
    names = ("rule", "start", "end")
    told = [by_re(RULES, row) for row in rows]
    return [row if row is None else [dict(zip(names, match)) for match in row] for row in told]


def test_matches_are_an_arrow_array(scanner):
    found = scanner.scan(pa.array(ROWS))
    array = pa.array(found)
    array.validate(full=True)
    assert array.type == LIST and array.to_pylist() == told(ROWS)
    assert pa.field(found).type == LIST
    # As often as it is asked for, and without the matches themselves.
    del found
    assert array.to_pylist() == told(ROWS)


def test_chunked_matches_are_an_arrow_stream(scanner):
    chunked = pa.chunked_array([ROWS[:2], [], ROWS[2:]], pa.string())
    found = scanner.scan(chunked)
    assert not hasattr(found, "__arrow_c_array__")
    for _ in range(2):
        array = pa.chunked_array(found)
        array.validate(full=True)
        assert array.type == LIST and array.to_pylist() == told(ROWS)
        assert [len(chunk) for chunk in array.chunks] == [2, 0, 2]
    assert pa.chunked_array(scanner.scan(pa.array(ROWS))).to_pylist() == told(ROWS)
    assert pa.chunked_array(scanner.scan(pa.chunked_array([], pa.string()))).type == LIST


def test_polars_takes_matches(scanner):
    series = polars.Series(scanner.scan(pa.array(ROWS)))
    assert series.to_list() == told(ROWS)
    assert polars.Series(scanner.scan(polars.Series(ROWS))).to_list() == told(ROWS)


def test_matches_are_a_sequence(scanner):
    for found in [scanner.scan(ROWS), scanner.scan(pa.chunked_array([ROWS[:1], ROWS[1:]]))]:
        rows = [by_re(RULES, row) for row in ROWS]
        assert len(found) == 4 and found.match_count == sum(len(row or ()) for row in rows)
        assert [found[row] for row in range(-4, 4)] == rows * 2
        assert found[1:3] == rows[1:3] and found[::-2] == rows[::-2] and found[5:] == []
        for beyond in [4, -5, 10**30]:
            with pytest.raises((IndexError, TypeError, OverflowError)):
                found[beyond]
        with pytest.raises(TypeError):
            found["rule"]
        assert repr(found) == f"<vkscan matches: {found.match_count} in 4 rows>"
        assert all(isinstance(match, vkscan.Match) for match in found[0])


def test_all_matches_are_every_range():
    with vkscan.Scanner(["a+", "b"], kind="all") as scanner:
        assert list(scanner.scan(["aab"])) == [[(0, 0, 1), (0, 0, 2), (0, 1, 2), (1, 2, 3)]]


def test_no_rules_have_no_matches():
    with vkscan.Scanner([]) as scanner:
        assert list(scanner.scan(["aab", None, ""])) == [[], None, []]
        assert scanner.explain() == scanner.rules == []
