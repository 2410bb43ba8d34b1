"""DuckDB: a function of Arrow arrays."""

import duckdb
import pyarrow as pa
import vkscan
from common import RULES, SQL_TYPE, check, texts

rows = texts()
connection = duckdb.connect()
texts_table = pa.table({"text": rows})

with vkscan.Scanner(RULES) as scanner:
    scan = lambda text: pa.chunked_array(scanner.scan(text))
    connection.create_function("scan", scan, ["VARCHAR"], SQL_TYPE, type="arrow")
    found = connection.sql("SELECT scan(text) AS matches FROM texts_table")
    check("DuckDB", rows, lambda: [row for (row,) in found.fetchall()])
