"""A model that MLServer runs by itself: twice the first column plus the second."""
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Sum(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        output = NumpyCodec.encode_output(name="predict", payload=rows[:, 0] * 2 + rows[:, 1])
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
