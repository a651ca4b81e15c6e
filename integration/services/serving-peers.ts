/** Python model servers that serving is compared with, as pip wants them; each in an environment of its own. */
export const SERVING_PEERS = {
  /** Trains the model and converts it; serves it by hand on FastAPI. */
  fastapi: [
    "fastapi==0.165.0",
    "hiredis==3.5.0",
    "numpy==2.2.6",
    "onnxruntime==1.32.0",
    "orjson==3.13.0",
    "redis==8.1.0",
    "uvicorn[standard]==0.54.0",
  ],
  trainer: ["onnxmltools==1.16.0", "onnx==1.17.0", "skl2onnx==1.20.0", "xgboost==3.2.0", "numpy==2.2.6", "mlflow-skinny==3.17.2", "scikit-learn==1.7.2", "pandas==2.3.3"],
  mlserver: ["mlserver==1.7.1", "mlserver-xgboost==1.7.1"],
  mlflow: ["mlflow==3.17.2", "xgboost==3.2.0"],
  bentoml: ["bentoml==1.4.40", "onnxruntime==1.32.0"],
} as const;
