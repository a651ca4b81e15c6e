"""The model on BentoML."""

import os

import bentoml
import numpy
import onnxruntime


@bentoml.service(workers=int(os.environ.get("SERVING_WORKERS", "1")), traffic={"timeout": 60})
class Serving:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["SERVING_ONNX"], options)

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> list[float]:
        matrix = numpy.array(rows, dtype=numpy.float32)
        return self.session.run(["probabilities"], {"input": matrix})[0][:, 1].tolist()
