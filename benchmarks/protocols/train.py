"""Trains 100 trees of depth 6 on 30 features, saves them as MLflow does, and 1,000 rows with XGBoost's predictions."""

import sys

import mlflow.xgboost
import numpy as np
import pandas as pd
import xgboost as xgb

folder, rows_file = sys.argv[1:]
random = np.random.default_rng(5)
rows = random.normal(size=(20_000, 30)).astype(np.float32)
label = (rows[:, :10].sum(axis=1) + random.normal(size=20_000) > 0).astype(int)
frame = pd.DataFrame(rows, columns=[f"f{i}" for i in range(30)])
booster = xgb.train({"objective": "binary:logistic", "max_depth": 6}, xgb.DMatrix(frame, label=label), 100)
signature = mlflow.models.infer_signature(frame.astype(float), booster.predict(xgb.DMatrix(frame[:10])))
mlflow.xgboost.save_model(booster, folder, signature=signature, model_format="ubj")
predictions = booster.predict(xgb.DMatrix(frame[:1_000])).astype(np.float32)
with open(rows_file, "wb") as file:
    file.write(rows[:1_000].tobytes())
    file.write(predictions.tobytes())
