"""The model on FastAPI, one thread of ONNX Runtime, twice: as FastAPI's manual has it, and written for speed.

`/predict_models` reads and checks the body that Millrace gets, by Pydantic's models. `/predict` takes lists without
names, parses them by orjson and checks nothing. Features come from Redis by one MGET.
"""

import os

import numpy
import onnxruntime
import orjson
import redis.asyncio
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, create_model

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["SERVING_ONNX"], options, providers=["CPUExecutionProvider"])
store = redis.asyncio.Redis(port=int(os.environ.get("SERVING_REDIS", "6379")))
app = FastAPI()
NAMES = [f"f{i}" for i in range(30)]
Row = create_model("Row", **{name: (float, ...) for name in NAMES})


class Rows(BaseModel):
    rows: list[Row]


class Answer(BaseModel):
    predictions: list[float]


def answer(rows: numpy.ndarray) -> Response:
    probabilities = session.run(["probabilities"], {"input": rows})[0][:, 1]
    return Response(orjson.dumps({"predictions": probabilities.tolist()}), media_type="application/json")


@app.get("/health")
async def health() -> Response:
    return Response()


@app.post("/predict")
async def predict(request: Request) -> Response:
    return answer(numpy.array(orjson.loads(await request.body())["rows"], dtype=numpy.float32))


@app.post("/predict_models")
async def predict_models(body: Rows) -> Answer:
    rows = numpy.array([[getattr(row, name) for name in NAMES] for row in body.rows], dtype=numpy.float32)
    probabilities = session.run(["probabilities"], {"input": rows})[0][:, 1]
    return Answer(predictions=probabilities.tolist())


@app.post("/looked_up")
async def looked_up(request: Request) -> Response:
    keys = []
    for row in orjson.loads(await request.body())["rows"]:
        keys += [f"user:{row['user_id']}", f"merchant:{row['merchant_id']}", f"device:{row['device_id']}"]
    found = await store.mget(keys)
    return answer(numpy.frombuffer(b"".join(found), dtype=numpy.float32).reshape(-1, 30))
