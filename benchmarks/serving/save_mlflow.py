"""Saves the trained model in MLflow's format: python save_mlflow.py FOLDER."""

import sys

import mlflow.xgboost
import pandas
import xgboost
from mlflow.models import infer_signature

folder = sys.argv[1]
model = xgboost.Booster(model_file=f"{folder}/model.ubj")
names = [f"f{i}" for i in range(30)]
model.feature_names = names
rows = pandas.read_csv(f"{folder}/rows.csv", header=None, names=names)[:5]
signature = infer_signature(rows, model.predict(xgboost.DMatrix(rows)))
mlflow.xgboost.save_model(model, f"{folder}/mlflow", signature=signature, model_format="ubj")
