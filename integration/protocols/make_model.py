"""Trains a booster, saves it as MLflow does, and writes rows with the library's own predictions."""

import json
import sys

import mlflow.models
import mlflow.xgboost
import numpy as np
import pandas as pd
import xgboost as xgb

folder, rows_file = sys.argv[1:]
random = np.random.default_rng(7)
count = 1_000
rows = pd.DataFrame(
    {
        "spend": np.float32(random.normal(50, 30, count)).astype(float),
        "amount": np.float32(random.normal(0, 1, count)).astype(float),
        "n_trips": random.integers(0, 20, count),
        "is_new": random.random(count) < 0.5,
    }
)
label = (rows.amount + rows.n_trips * 0.1 + rows.spend * 0.02 + random.normal(size=count) > 2).astype(int)
booster = xgb.train({"objective": "binary:logistic", "max_depth": 6}, xgb.DMatrix(rows, label=label), 100)
signature = mlflow.models.infer_signature(rows, booster.predict(xgb.DMatrix(rows)))
mlflow.xgboost.save_model(booster, folder, signature=signature, model_format="ubj")
with open(rows_file, "w") as file:
    predictions = [float(p) for p in booster.predict(xgb.DMatrix(rows))]
    json.dump({"rows": rows.to_dict("list"), "predictions": predictions}, file)
