"""KServe's own model server with a model of one's own: twice the first column plus the second. Argument: the port."""
import sys

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Sum(Model):
    def load(self) -> bool:
        self.ready = True
        return self.ready

    async def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        rows = payload.inputs[0].as_numpy()
        output = InferOutput(name="predict", shape=[len(rows)], datatype="FP64")
        output.set_data_from_numpy(rows[:, 0] * 2 + rows[:, 1], binary_data=False)
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    model = Sum("sum")
    model.load()
    ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1).start([model])
