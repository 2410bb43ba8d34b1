"""Ray Data: a class of which each worker makes one, called with batches. The scanner is pickled to it."""

import pyarrow as pa
import ray
import vkscan
from common import RULES, check, texts


class Scan:
    def __init__(self, scanner):
        self.scanner = scanner

    def __call__(self, batch):
        return batch.append_column("matches", pa.chunked_array(self.scanner.scan(batch["text"])))


rows = texts()
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
data = ray.data.from_arrow(pa.table({"row": range(len(rows)), "text": rows}))
with vkscan.Scanner(RULES) as scanner:
    found = data.map_batches(
        Scan, fn_constructor_args=[scanner], concurrency=1, batch_format="pyarrow"
    )
    check("Ray Data", rows, lambda: [row["matches"] for row in found.sort("row").take_all()])
