"""Writes the 1,000 rows again and again as Parquet that is as large as its numbers."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet

rows_file, path, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
rows = np.fromfile(rows_file, dtype=np.float32, count=30_000).reshape(1_000, 30)
table = pa.table({f"f{i}": rows[:, i] for i in range(30)})
many = pa.concat_tables([table] * 50).combine_chunks()
with pyarrow.parquet.ParquetWriter(path, table.schema, compression="none", use_dictionary=False) as writer:
    for _ in range(times // 50):
        writer.write_table(many)
