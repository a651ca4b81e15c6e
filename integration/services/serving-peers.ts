/** Python model servers that serving is compared with, as pip wants them; each in an environment of its own. */
export const SERVING_PEERS = {
  /** Serves the ONNX model by hand, as FastAPI's users do. */
  fastapi: [
    "fastapi==0.165.0",
    "hiredis==3.5.0",
    "numpy==2.2.6",
    "onnxruntime==1.32.0",
    "orjson==3.13.0",
    "redis==8.1.0",
    "uvicorn[standard]==0.54.0",
  ],
  trainer: [
    "numpy==2.2.6",
    "onnx==1.17.0",
    "onnxmltools==1.16.0",
    "packaging==25.0",
    "pandas==2.3.3",
    "scikit-learn==1.7.2",
    "skl2onnx==1.20.0",
    "xgboost==3.2.0",
  ],
  mlserver: ["mlserver==1.7.1", "mlserver-xgboost==1.7.1"],
  mlflow: ["mlflow==3.17.2", "xgboost==3.2.0"],
  bentoml: ["bentoml==1.4.40", "onnxruntime==1.32.0"],
} as const;
