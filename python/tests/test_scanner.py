"""A scanner: what it is made of, what goes wrong, and who uses it."""

import gc
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

import vkscan
from conftest import RULES, by_re


def run(code):
    """Runs a program of its own, and gives what it printed; it prints no errors."""
    command = [sys.executable, "-W", "ignore::RuntimeWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


def test_rules_that_do_not_compile_are_named():
    with pytest.raises(vkscan.RuleError) as raised:
        vkscan.Scanner(["a", "a(b", "*"])
    assert str(raised.value).splitlines()[0] == "pattern 1 does not parse: unclosed group, at byte 1 of a(b"
    assert len(str(raised.value).splitlines()) == 2 and raised.value.rules == [1, 2]
    assert isinstance(raised.value, vkscan.Error)
    with pytest.raises(vkscan.RuleError, match="raise `size_limit`"):
        vkscan.Scanner(["[a-z]{500}"], size_limit=1000)


def test_wrong_arguments_are_refused():
    for wrong in ["abc", b"abc", 7, [7], None]:
        with pytest.raises(TypeError):
            vkscan.Scanner(wrong)
    for wrong in [{"kind": "some"}, {"wait_timeout": -1.0}, {"wait_timeout": float("nan")}]:
        with pytest.raises(ValueError):
            vkscan.Scanner(["a"], **wrong)
    with pytest.raises(UnicodeDecodeError):
        vkscan.Scanner([b"\xff"])
    with pytest.raises(OverflowError):
        vkscan.Scanner(["a"], max_matches=-1)


def test_a_device_is_picked_as_the_command_picks_it(scanner):
    (picked,) = [device for device in vkscan.devices() if device["picked"]]
    assert scanner.device["uuid"] == picked["uuid"] and scanner.device["name"] == picked["name"]
    for device in [picked["index"], str(picked["index"]), picked["uuid"], picked["name"][:4].lower()]:
        with vkscan.Scanner([b"a"], device=device) as other:
            assert other.device["uuid"] == picked["uuid"] and list(other.scan("a")) == [[(0, 0, 1)]]
    with pytest.raises(vkscan.DeviceError, match="no Vulkan device fits name \"no such\"; there are: 0: "):
        vkscan.Scanner(["a"], device="no such")


def test_a_driver_on_the_cpu_is_warned_of():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with vkscan.Scanner(["a"]) as scanner:
            scanner.scan("a")
    expected = 1 if scanner_is_on_cpu() else 0
    assert len(caught) == expected
    for warning in caught:
        assert warning.category is RuntimeWarning and warning.filename == __file__
        assert "runs on the CPU" in str(warning.message)


def scanner_is_on_cpu():
    return any(device["picked"] and device["kind"] == "CPU device" for device in vkscan.devices())


def test_too_many_matches_name_the_row_and_leave_the_scanner_working():
    with vkscan.Scanner(["[0-9]"], max_matches=3) as scanner:
        rows = pa.chunked_array([["1 2", "1 2 3"], ["1", None, "1 2 3 4"]])
        with pytest.raises(vkscan.TooManyMatches) as raised:
            scanner.scan(rows)
        assert raised.value.row == 4
        assert str(raised.value) == "row 4: there are 4 matches and the item may have 3: allow more"
        assert [len(row) for row in scanner.scan(["1 2", "1 2 3"])] == [2, 3]
        large = bytearray(17 << 20)
        large[:8] = b"1 2 3 4 "
        with pytest.raises(vkscan.TooManyMatches, match="^row 1: there are 4 matches and the session holds 3"):
            scanner.scan(["1", large])
        assert [len(row) for row in scanner.scan(["1 2", "1 2 3"])] == [2, 3]
        unpickled = pickle.loads(pickle.dumps(raised.value))
        assert (unpickled.row, str(unpickled)) == (4, str(raised.value))


def test_a_closed_scanner_says_so():
    with vkscan.Scanner(["a"]) as scanner:
        found = scanner.scan("a")
        assert repr(scanner).startswith("<vkscan.Scanner for 1 rules on ")
    assert list(found) == [[(0, 0, 1)]]
    scanner.close()
    assert repr(scanner) == "<vkscan.Scanner, closed>"
    for use in [
        lambda: scanner.scan("a"),
        lambda: scanner.scan_file(__file__),
        scanner.explain,
        lambda: scanner.rules,
        lambda: scanner.device,
        scanner.__enter__,
        lambda: pickle.dumps(scanner),
    ]:
        with pytest.raises(vkscan.Error, match="the scanner has been closed"):
            use()


def test_a_scanner_that_is_dropped_is_gone():
    scanner = vkscan.Scanner(["a"])
    gone = weakref.ref(scanner)
    del scanner
    gc.collect()
    assert gone() is None


def test_files_of_any_length_are_scanned(scanner, tmp_path):
    path = tmp_path / "haystack"
    text = b"pass = x 123\n" + b"." * 5000 + b" 789 xxy"
    path.write_bytes(text)
    assert scanner.scan_file(path) == scanner.scan_file(str(path)) == by_re(RULES, text)
    with vkscan.Scanner(["[0-9]{3}", "zzz$"]) as other:
        with path.open("wb") as file:
            for at in [0, (16 << 20) - 1, (32 << 20) - 2, 40 << 20]:
                file.seek(at)
                file.write(b"123")
            file.seek(50 << 20)
            file.write(b"zzz")
        found = other.scan_file(path, window_bytes=16 << 20)
        ends = [0, (16 << 20) - 1, (32 << 20) - 2, 40 << 20]
        assert found == [(0, at, at + 3) for at in ends] + [(1, 50 << 20, (50 << 20) + 3)]
        assert other.scan_file(path) == found
    path.write_bytes(b"")
    assert scanner.scan_file(path) == []


def test_files_that_cannot_be_read_are_pythons_errors(scanner, tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        scanner.scan_file(tmp_path / "none")
    assert raised.value.filename == tmp_path / "none" and raised.value.strerror == "No such file or directory"
    with pytest.raises(IsADirectoryError):
        scanner.scan_file(tmp_path)
    with pytest.raises(ValueError, match="window_bytes of 5 is not within 16777216 to 1073741824"):
        scanner.scan_file(__file__, window_bytes=5)


def test_rules_are_explained(scanner):
    plans = scanner.explain()
    assert scanner.rules == RULES == [plan["pattern"] for plan in plans]
    assert [plan["rule"] for plan in plans] == list(range(len(RULES)))
    assert b"ghp_" in plans[0]["factor"]["grams"] and plans[0]["factor"]["most_starts"] == 1
    assert plans[4]["factor"] is None or plans[4]["factor"]["expected_per_mib"] > 0


def test_threads_share_a_scanner(scanner):
    def work(number):
        rows = [f"{number:03} " * count + "xy" for count in range(50)]
        for _ in range(3):
            assert list(scanner.scan(rows)) == [by_re(RULES, row) for row in rows]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(16)))


def test_other_threads_run_while_it_scans(scanner):
    haystack = os.urandom(1 << 20) * 4
    scans = []
    ticks = 0

    def scan():
        for _ in range(3):
            scans.append(scanner.scan(haystack))

    thread = threading.Thread(target=scan)
    began = time.monotonic()
    thread.start()
    while thread.is_alive():
        ticks += 1
        time.sleep(0.001)
    assert len(scans) == 3
    # One a millisecond and a little more, had it had the processors for itself.
    assert ticks > (time.monotonic() - began) * 100


def test_an_interrupt_is_seen_between_turns():
    code = """
import _thread, threading, vkscan
scanner = vkscan.Scanner(["[0-9]{3}"])
threading.Timer(1, _thread.interrupt_main).start()
try:
    scanner.scan([b"." * (1 << 20)] * 4000)
except KeyboardInterrupt:
    print("interrupted", len(scanner.scan("123")))
"""
    assert run(code) == "interrupted 1"


def test_pickled_scanners_share_what_is_open():
    scanner = vkscan.Scanner(["[0-9]{3}"], max_matches=7, kind="all")
    pickled = pickle.dumps(scanner)
    first, second = pickle.loads(pickled), pickle.loads(pickled)
    scanner.close()
    for one in [first, second]:
        assert list(one.scan("1234")) == [[(0, 0, 3), (0, 1, 4)]]
        with pytest.raises(vkscan.TooManyMatches):
            one.scan("1234567890")
    first.close()
    assert second.scan("123").match_count == 1
    with pytest.raises(vkscan.RuleError, match="not a vkscan pipeline"):
        function, arguments = second.__reduce__()
        function(arguments[0][:-1], *arguments[1:])
    second.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            # One that is dropped before the next is unpickled is found all the same.
            with pickle.loads(pickled) as again:
                assert again.scan("123").match_count == 1
    assert not caught, "it was opened anew"


def test_another_process_unpickles(tmp_path):
    path = tmp_path / "scanner"
    with vkscan.Scanner(["[0-9]{3}"]) as scanner:
        path.write_bytes(pickle.dumps(scanner))
    code = f"""
import pickle
one, two = (pickle.load(open({str(path)!r}, "rb")) for _ in range(2))
print(list(one.scan("123")), list(two.scan("4567")))
"""
    one = "[[Match(rule=0, start=0, end=3)]]"
    assert run(code) == f"{one} {one}"


def test_a_forked_process_says_what_to_do():
    code = """
import os, sys, pickle, vkscan
scanner = vkscan.Scanner(["[0-9]{3}"])
pickled = pickle.dumps(scanner)
scanner.scan("123")
child = os.fork()
if child == 0:
    for use in [lambda: scanner.scan("123"), lambda: vkscan.Scanner(["a"]), vkscan.devices,
                lambda: pickle.loads(pickled), lambda: scanner.scan_file("/dev/null")]:
        try:
            use()
            os._exit(1)
        except vkscan.DeviceError as error:
            assert "spawn" in str(error)
    scanner.close()
    # As a process ends otherwise, too.
    sys.exit(7)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), list(scanner.scan("123")) == [[(0, 0, 3)]])
"""
    assert run(code) == "7 True"


def test_a_process_that_was_forked_before_may_scan():
    code = """
import os, vkscan
child = os.fork()
found = list(vkscan.Scanner(["[0-9]{3}"]).scan("123"))
assert found == [[(0, 0, 3)]]
if child == 0:
    os._exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(code) == "5"


def test_nothing_but_the_wheel_is_needed():
    code = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pyarrow", "numpy", "polars"):
            raise ImportError(name)
sys.meta_path.insert(0, Nothing())
import vkscan
print(list(vkscan.Scanner(["b"]).scan(["abc", None])))
"""
    assert run(code) == "[[Match(rule=0, start=1, end=2)], None]"
