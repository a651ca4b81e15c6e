"""Models as skl2onnx and onnxmltools write them, each in a folder of MLflow's format, and what ONNX Runtime answers.

Arguments: the folder to write to, and "large" for one more model whose file is of tens of megabytes.
"""
import json
import pathlib
import sys

import numpy as np
import onnxruntime
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

out = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(7)
rows = rng.normal(size=(400, 3)).astype(np.float32)
labels = (rows[:, 0] + 0.5 * rows[:, 1] > 0).astype(np.int64)
three = np.digitize(rows[:, 0], [-0.5, 0.5]).astype(np.int64)
target = (rows @ np.array([1.0, -2.0, 0.5], np.float32)).astype(np.float32)
NAMES = ["a", "b", "c"]


def write(name, proto, feeds, columns, output):
    """`columns`: name to list of values, in the order of the signature; `feeds`: what ONNX Runtime takes."""
    data = proto.SerializeToString()
    folder = out / name
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)
    kinds = {name: "string" if isinstance(values[0], str) else "float" for name, values in columns.items()}
    signature = json.dumps([{"name": n, "type": kind, "required": True} for n, kind in kinds.items()])
    (folder / "MLmodel").write_text(
        "flavors:\n  onnx:\n    data: model.onnx\n    onnx_version: 1.20.0\nmodel_uuid: 1\n"
        f"signature:\n  inputs: '{signature}'\n"
    )
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    answers = session.run([output], feeds)[0]
    if isinstance(answers, list):
        answers = [list(one.values()) for one in answers]
    else:
        answers = answers.tolist()
    (folder / "expected.json").write_text(
        json.dumps({"columns": list(columns), "rows": [list(row) for row in zip(*columns.values())], "answers": answers, "outputs": names})
    )


def matrix(model, y, name, output, options=None):
    model.fit(rows, y)
    proto = to_onnx(model, rows[:1], options=options or {}, target_opset={"": 17, "ai.onnx.ml": 3})
    some = rows[:40]
    write(name, proto, {proto.graph.input[0].name: some}, {n: some[:, i].tolist() for i, n in enumerate(NAMES)}, output)


matrix(LogisticRegression(), labels, "classifier_zipmap", "output_probability")
no_zipmap = lambda model: {id(model): {"zipmap": False}}
for name, model, y in [
    ("classifier", LogisticRegression(), labels),
    ("forest_three_classes", RandomForestClassifier(20, max_depth=5, random_state=1), three),
]:
    matrix(model, y, name, "probabilities", no_zipmap(model))
matrix(RandomForestRegressor(20, max_depth=5, random_state=1), target, "regressor", "variable")
scaled = Pipeline([("scale", StandardScaler()), ("boost", GradientBoostingRegressor(n_estimators=20, random_state=1))])
matrix(scaled, target, "pipeline", "variable")

import pandas as pd

countries = np.array(["BE", "NL", "FR"])[rng.integers(0, 3, 400)]
frame = pd.DataFrame({"country": countries, "amount": rows[:, 0], "n": rows[:, 1]})
encoded = Pipeline(
    [
        ("columns", ColumnTransformer([("one_hot", OneHotEncoder(handle_unknown="ignore"), ["country"]), ("scale", StandardScaler(), ["amount", "n"])])),
        ("model", LogisticRegression()),
    ]
).fit(frame, labels)
kinds = [("country", StringTensorType([None, 1])), ("amount", FloatTensorType([None, 1])), ("n", FloatTensorType([None, 1]))]
proto = to_onnx(encoded, initial_types=kinds, options={id(encoded): {"zipmap": False}}, target_opset={"": 17, "ai.onnx.ml": 3})
columns = {"country": countries[:39].tolist() + ["somewhere"], "amount": rows[:40, 0].tolist(), "n": rows[:40, 1].tolist()}
feeds = {n: np.array(values, dtype=object if n == "country" else np.float32).reshape(-1, 1) for n, values in columns.items()}
write("pipeline_of_columns", proto, feeds, columns, "probabilities")

import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as Floats

for name, model, y, output in [
    ("xgboost_classifier", xgboost.XGBClassifier(n_estimators=20, max_depth=4), labels, "probabilities"),
    ("xgboost_regressor", xgboost.XGBRegressor(n_estimators=20, max_depth=4), target, "variable"),
]:
    model.fit(rows, y)
    proto = convert_xgboost(model, initial_types=[("input", Floats([None, 3]))], target_opset=15)
    some = rows[:40]
    write(name, proto, {"input": some}, {n: some[:, i].tolist() for i, n in enumerate(NAMES)}, output)

if "large" in sys.argv:
    many = rng.normal(size=(4000, 3)).astype(np.float32)
    noise = rng.normal(size=4000)
    forest = RandomForestRegressor(int(sys.argv[sys.argv.index("large") + 1]), random_state=1, n_jobs=2).fit(many, noise)
    proto = to_onnx(forest, many[:1], target_opset={"": 17, "ai.onnx.ml": 3})
    write("large", proto, {proto.graph.input[0].name: rows[:4]}, {n: rows[:4, i].tolist() for i, n in enumerate(NAMES)}, "variable")
