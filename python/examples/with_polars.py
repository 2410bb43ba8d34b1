"""Polars: a column is an Arrow stream, and so is what comes of it."""

import polars as pl
import vkscan
from common import RULES, check, texts

frame = pl.DataFrame({"text": texts()})

with vkscan.Scanner(RULES) as scanner:
    matches = pl.col("text").map_batches(lambda text: pl.Series(scanner.scan(text)))
    check("Polars", frame["text"].to_list(), lambda: frame.select(matches).to_series().to_list())
