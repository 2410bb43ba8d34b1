"""DataFusion: a function of Arrow arrays."""

import pyarrow as pa
import vkscan
from common import RULES, check, texts
from datafusion import SessionContext, udf

rows = texts()
context = SessionContext()
context.from_pydict({"id": list(range(len(rows))), "text": rows}, name="texts")

with vkscan.Scanner(RULES) as scanner:
    of_none = pa.array(scanner.scan([]))
    scan = udf(lambda text: pa.array(scanner.scan(text)), [pa.string()], of_none.type, "stable", name="scan")
    context.register_udf(scan)
    # Batches are scanned in parallel, and come in any order.
    found = context.sql("SELECT scan(text) AS matches FROM texts ORDER BY id")
    check("DataFusion", rows, lambda: found.to_pydict()["matches"])
