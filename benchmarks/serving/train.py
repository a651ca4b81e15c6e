"""Trains the model of the serving benchmarks and writes it in the form of each server: python train.py FOLDER TREES."""

import sys

import numpy
import onnx
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

FEATURES = 30
folder, trees = sys.argv[1], int(sys.argv[2])
random = numpy.random.default_rng(7)
rows = random.normal(size=(20_000, FEATURES)).astype("float32")
score = rows[:, 0] * rows[:, 1] + numpy.sin(rows[:, 2] * 2) + rows[:, 3:10].sum(axis=1) * 0.3
labels = (score + random.normal(size=len(rows)) > 0).astype("int32")
model = xgboost.XGBClassifier(n_estimators=trees, max_depth=6, learning_rate=0.1, base_score=0.5, tree_method="hist")
model.fit(rows, labels)
model.get_booster().save_model(f"{folder}/model.ubj")
converted = convert_xgboost(model, initial_types=[("input", FloatTensorType([None, FEATURES]))], target_opset=15)
onnx.save(converted, f"{folder}/model.onnx")
numpy.savetxt(f"{folder}/expected.csv", model.predict_proba(rows[:500])[:, 1], fmt="%.9g")
numpy.savetxt(f"{folder}/rows.csv", rows[:1_000], fmt="%.9g", delimiter=",")
