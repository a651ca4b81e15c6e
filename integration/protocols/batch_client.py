"""Sends batches with pandas and pyarrow over urllib; prints what each check found."""

import io
import json
import sys
import urllib.request

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

address, rows_file = sys.argv[1:]
with open(rows_file) as file:
    given = json.load(file)
one = pd.DataFrame(given["rows"])
rows = pd.concat([one] * 20, ignore_index=True)
expected = np.tile(np.asarray(given["predictions"]), 20)
url = f"{address}/v1/models/risk/predict-batch"
checks = []


def post(body, kind, accept=None):
    headers = {"content-type": kind, **({} if accept is None else {"accept": accept})}
    with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers)) as answer:
        return answer.read()


def check(client, what, found, wanted=expected):
    found = np.asarray(found, dtype=np.float64)
    checks.append({"client": client, "what": what, "passed": bool(np.array_equal(found, wanted)), "found": str(found[:5])})


def stream(table, options=None, chunk=3_000):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=chunk)
    return sink.getvalue()


def file(table):
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3_000)
    return sink.getvalue()


STREAM = "application/vnd.apache.arrow.stream"
FILE = "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"
table = pa.Table.from_pandas(rows)
read_stream = lambda answer: pa.ipc.open_stream(answer).read_all()["probability"].to_numpy()
check("pyarrow", "Arrow stream both ways", read_stream(post(stream(table), STREAM)))
check("pyarrow", "Arrow stream of float32", read_stream(post(stream(table.cast(pa.schema([("spend", pa.float32()), ("amount", pa.float32()), ("n_trips", pa.int32()), ("is_new", pa.bool_())]))), STREAM)))
check("pyarrow", "Arrow file both ways", pa.ipc.open_file(post(file(table), FILE)).read_all()["probability"].to_numpy())
sink = io.BytesIO()
pa.parquet.write_table(table, sink, row_group_size=4_000)
check("pyarrow", "Parquet both ways", pa.parquet.read_table(io.BytesIO(post(sink.getvalue(), PARQUET)))["probability"].to_numpy())
check("pyarrow", "Parquet in, Arrow stream out", read_stream(post(sink.getvalue(), PARQUET, STREAM)))
check("pandas", "CSV both ways", pd.read_csv(io.BytesIO(post(rows.to_csv(index=False).encode(), "text/csv")), float_precision="round_trip")["probability"])
check("pandas", "JSON lines both ways", pd.read_json(io.BytesIO(post(rows.to_json(orient="records", lines=True, double_precision=15).encode(), "application/x-ndjson")), lines=True, precise_float=True)["probability"])
answer = json.loads(post(rows.to_json(orient="records", double_precision=15).encode(), "application/json"))
check("pandas", "JSON both ways", [row["probability"] for row in answer["predictions"]])
sink = io.BytesIO()
rows.to_parquet(sink)
check("pandas", "to_parquet, read_parquet", pd.read_parquet(io.BytesIO(post(sink.getvalue(), PARQUET)))["probability"])
keys = pa.table({"card_id": ["c1", "nobody"], "amount": [1.5, 1.5], "n_trips": [3, 3], "is_new": [True, True]})
whole = pa.table({"spend": [42.5, 0.0], "amount": [1.5, 1.5], "n_trips": [3, 3], "is_new": [True, True]})
check("pyarrow", "entity keys are looked up", read_stream(post(stream(keys), STREAM)), read_stream(post(stream(whole), STREAM)))
print(json.dumps(checks))
