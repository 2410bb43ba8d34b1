"""What engines that spread work make of failures: of a worker, of a device, and of a row."""

import os

import daft
import pyarrow as pa
import pytest
import ray
import vkscan
from conftest import RULES, by_re

ROWS = [f"row {number} password = hunter{number} xxy 123" for number in range(200)]
EXPECTED = [[tuple(match) for match in by_re(RULES, row)] for row in ROWS]
# More matches than this row may have, and a device that cannot answer in time.
TOO_MANY = {"max_matches": 2}
TOO_SLOW = {"wait_timeout": 0.0}

# Not on Ray, which is there for other tests.
daft.set_runner_native()


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def by_ray(rows, options, died=None):
    """The matches by Ray Data. The first worker to come to a batch dies, if there is a file to remember that by."""

    # Pickled as it is: workers do not have this file.
    class Scan:
        def __init__(self, rules):
            self.scanner = vkscan.Scanner(rules, **options)

        def __call__(self, batch):
            if died and not died.exists():
                died.touch()
                os._exit(1)
            return batch.append_column("matches", pa.chunked_array(self.scanner.scan(batch["text"])))

    data = ray.data.from_arrow(pa.table({"row": range(len(rows)), "text": rows}))
    data = data.map_batches(
        Scan, fn_constructor_args=[RULES], concurrency=1, batch_size=50, batch_format="pyarrow"
    )
    return [tuples(row["matches"]) for row in data.sort("row").take_all()]


def by_daft(rows, options):
    match = daft.DataType.struct(
        {"rule": daft.DataType.uint32(), "start": daft.DataType.uint64(), "end": daft.DataType.uint64()}
    )

    @daft.cls(max_concurrency=1)
    class Scan:
        def __init__(self):
            self.scanner = vkscan.Scanner(RULES, **options)

        @daft.method.batch(return_dtype=daft.DataType.list(match))
        def __call__(self, text):
            return pa.array(self.scanner.scan(text.to_arrow()))

    frame = daft.from_pydict({"text": rows})
    found = frame.select(Scan()(frame["text"]).alias("matches")).to_pydict()["matches"]
    return [tuples(row) for row in found]


def tuples(matches):
    return [(match["rule"], match["start"], match["end"]) for match in matches]


def text_of(error):
    """All that an engine says of an error, of what caused it too."""
    texts = []
    while error is not None:
        texts.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def test_a_worker_of_ray_that_dies_is_replaced(cluster, tmp_path):
    died = tmp_path / "died"
    assert by_ray(ROWS, {}, died) == EXPECTED
    assert died.exists()


@pytest.mark.parametrize(
    "options, said", [(TOO_MANY, "the item may have 2: allow more"), (TOO_SLOW, "wait_timeout")]
)
def test_ray_tells_what_is_wrong_and_goes_on(cluster, options, said):
    with pytest.raises(Exception) as raised:
        by_ray(ROWS, options)
    assert said in text_of(raised.value)
    assert by_ray(ROWS, {}) == EXPECTED


@pytest.mark.parametrize(
    "options, said", [(TOO_MANY, "the item may have 2: allow more"), (TOO_SLOW, "wait_timeout")]
)
def test_daft_tells_what_is_wrong_and_goes_on(options, said):
    with pytest.raises(Exception) as raised:
        by_daft(ROWS, options)
    assert said in text_of(raised.value)
    assert by_daft(ROWS, {}) == EXPECTED
