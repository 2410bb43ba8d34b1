"""Daft: a class of which each worker makes one, and a method of batches."""

import daft
import pyarrow as pa
import vkscan
from common import RULES, check, texts
from daft import DataType

MATCH = DataType.struct({"rule": DataType.uint32(), "start": DataType.uint64(), "end": DataType.uint64()})


@daft.cls(max_concurrency=1)
class Scan:
    def __init__(self):
        self.scanner = vkscan.Scanner(RULES)

    @daft.method.batch(return_dtype=DataType.list(MATCH))
    def __call__(self, text):
        return pa.array(self.scanner.scan(text.to_arrow()))


rows = texts()
frame = daft.from_pydict({"text": rows})
found = frame.select(Scan()(frame["text"]).alias("matches"))
check("Daft", rows, lambda: found.to_pydict()["matches"])
